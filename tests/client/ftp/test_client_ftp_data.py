"""What the kernel holds of a transfer when one side of it is killed."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
from collections.abc import Iterator

import pytest

from homeport.client.ftp import data
from homeport.client.ftp.data import _is_granted, hold_little

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def connected() -> Iterator[Ends]:
    """A listening server, and a client that is connected to it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        yield listening, client


def flooded(listening: socket.socket, client: socket.socket) -> int:
    """How much comes in that the client does not read, after so much was read that the kernel would hold more."""
    server, _ = listening.accept()
    server.setblocking(False)
    client.setblocking(False)
    piece, buffer, read = bytes(1024 * 1024), bytearray(1024 * 1024), 0
    with server:
        while read < 256 * 1024 * 1024:
            with contextlib.suppress(BlockingIOError):
                for _ in range(100):
                    server.send(piece)
            with contextlib.suppress(BlockingIOError):
                read += client.recv_into(buffer)
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):
                server.send(piece)
        try:
            return client.recv_into(bytearray(64 * 1024 * 1024), 0, socket.MSG_PEEK)
        except BlockingIOError:
            return 0


def test_little_lies_unread_to_be_lost_when_the_client_is_killed(connected: Ends) -> None:
    if sys.platform != "linux" or not _is_granted(socket.SO_RCVBUF, data._UNREAD_BYTES):
        pytest.skip("the system sets no bound, or a low one")
    listening, client = connected
    hold_little(client)
    assert flooded(listening, client) < 4_000_000  # a kill may cost less than 4 MiB


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the system knows no such bound")
def test_little_looks_sent_that_the_server_cannot_take(connected: Ends) -> None:
    listening, client = connected
    hold_little(client)
    server, _ = listening.accept()
    with server:
        client.setblocking(False)
        taken = 0
        for _ in range(1000):
            if not select.select([], [client], [], 0)[1]:
                break
            taken += client.send(bytes(16 * 1024))
        unread = len(server.recv(64 * 1024 * 1024, socket.MSG_PEEK))
        assert 0 < taken - unread < 512 * 1024


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [(sys, "platform", "darwin"), (data, "_UNREAD_BYTES", 1 << 30), (data, "_LONG_ROUND_TRIP_US", 0)],
    ids=["knows no bound", "allows too little", "long line"],
)
def test_a_system_whose_own_bound_is_better_is_left_alone(
    connected: Ends, monkeypatch: pytest.MonkeyPatch, place: object, name: str, value: object
) -> None:
    monkeypatch.setattr(place, name, value)
    how = socket.SOL_SOCKET, socket.SO_RCVBUF
    before = connected[1].getsockopt(*how)
    hold_little(connected[1])
    assert connected[1].getsockopt(*how) == before


@pytest.mark.skipif(sys.platform != "linux", reason="other systems are left alone")
def test_a_long_line_gets_a_queue_that_keeps_it_busy(connected: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    if not _is_granted(socket.SO_SNDBUF, data._IN_FLIGHT_BYTES):
        pytest.skip("net.core.wmem_max is low")
    monkeypatch.setattr(data, "_LONG_ROUND_TRIP_US", 0)
    hold_little(connected[1])
    assert connected[1].getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= data._IN_FLIGHT_BYTES
