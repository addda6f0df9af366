from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from tests.servers.loops import Run, until

from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp import data
from homeport.servers.ftp.data import (
    DataConnection,
    DataLost,
    DataRefused,
    Farewells,
    NotReady,
    _can_bound,
    bound_unread,
    connect_out,
)
from homeport.servers.readiness import Side, Waits
from homeport.servers.tls import CertificateFiles, Certificates, ready_for_data

HERE = ipaddress.ip_address("127.0.0.1")
RECEIVE_BUFFER = socket.SOL_SOCKET, socket.SO_RCVBUF


@pytest.fixture
def pair() -> Iterator[tuple[DataConnection, socket.socket]]:
    """A data connection and the client's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname(), timeout=5)
        server, _ = listening.accept()
    server.setblocking(False)
    connection = DataConnection(server)
    yield connection, client
    connection.close()
    client.close()


def until_ready(call: Callable[[], object]) -> object:
    for _ in range(10_000):
        try:
            return call()
        except NotReady:
            threading.Event().wait(0.0005)
    raise AssertionError("never ready")


def for_ever(call: Callable[[], object]) -> None:
    for _ in range(10_000):
        call()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.fixture
def private(
    pair: tuple[DataConnection, socket.socket], certificate: CertificateFiles, authority: trustme.CA
) -> Iterator[tuple[DataConnection, ssl.SSLSocket]]:
    connection, client = pair
    context = Certificates(certificate).context()
    ready_for_data(context)
    connection.start_tls(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    wrapped = trusting.wrap_socket(client, server_hostname="localhost", do_handshake_on_connect=False)
    greeting = threading.Thread(target=wrapped.do_handshake)
    greeting.start()
    until_ready(connection.shake_hands)
    greeting.join()
    yield connection, wrapped
    wrapped.close()


def receive(connection: DataConnection) -> bytes:
    buffer = bytearray(100)
    count = until_ready(lambda: connection.receive_into(memoryview(buffer)))
    assert isinstance(count, int)
    return bytes(buffer[:count])


def test_plain_bytes_and_their_end(pair: tuple[DataConnection, socket.socket], tmp_path: Path) -> None:
    connection, client = pair
    with pytest.raises(NotReady) as waiting:
        connection.receive_into(memoryview(bytearray(10)))
    assert waiting.value.side is Side.READ
    client.send(b"up")
    assert receive(connection) == b"up"
    client.shutdown(socket.SHUT_WR)
    assert receive(connection) == b""
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file:
        assert connection.send_file(file.fileno(), 4, 100) == 6
    assert connection.send(b"down") == 4
    connection.end(must_arrive=True)
    assert client.makefile("rb").read() == b"456789down"
    assert not connection.is_private
    assert not connection.resumed
    connection.shake_hands()


def test_a_full_socket_is_waited_for(pair: tuple[DataConnection, socket.socket], tmp_path: Path) -> None:
    connection, _client = pair
    (tmp_path / "file").write_bytes(bytes(1 << 22))
    with open(tmp_path / "file", "rb") as file, pytest.raises(NotReady) as waiting:
        for_ever(lambda: connection.send_file(file.fileno(), 0, 1 << 22))
    assert waiting.value.side is Side.WRITE
    with pytest.raises(NotReady) as waiting:
        connection.send(b"more")
    assert waiting.value.side is Side.WRITE


def test_a_reset_is_a_loss(pair: tuple[DataConnection, socket.socket], tmp_path: Path) -> None:
    connection, client = pair
    client.send(b"part")
    assert receive(connection) == b"part"
    reset(client)
    with pytest.raises(DataLost, match=r"^The data connection was lost \(ECONNRESET\)\.$"):
        receive(connection)
    with pytest.raises(DataLost):
        connection.send(b"x")
    (tmp_path / "file").write_bytes(b"x")
    with open(tmp_path / "file", "rb") as file, pytest.raises(DataLost, match="EPIPE"):
        connection.send_file(file.fileno(), 0, 1)
    with pytest.raises(DataLost):
        connection.end(must_arrive=True)
    connection.end(must_arrive=False)
    connection.interrupt()


def test_private_bytes_and_a_clean_end(private: tuple[DataConnection, ssl.SSLSocket]) -> None:
    connection, client = private
    assert connection.is_private
    assert not connection.resumed
    with pytest.raises(NotReady):
        connection.receive_into(memoryview(bytearray(10)))
    client.send(b"up")
    assert receive(connection) == b"up"
    assert connection.send(b"down") == 4
    assert client.recv(10) == b"down"
    with pytest.raises(RuntimeError, match="would send clear text"):
        connection.send_file(0, 0, 1)
    connection.end(must_arrive=True)
    assert client.recv(10) == b""


def test_a_private_upload_ends_with_close_notify(private: tuple[DataConnection, ssl.SSLSocket]) -> None:
    connection, client = private
    client.send(b"up")
    ending = threading.Thread(target=client.unwrap)
    ending.start()
    assert receive(connection) == b"up"
    assert receive(connection) == b""
    connection.end(must_arrive=False)
    ending.join()


def test_a_client_that_closes_as_soon_as_it_has_all_is_no_loss(private: tuple[DataConnection, ssl.SSLSocket]) -> None:
    connection, client = private
    socket.close(client.detach())
    threading.Event().wait(0.01)
    connection.end(must_arrive=True)


def test_private_data_waits_for_a_full_socket(private: tuple[DataConnection, ssl.SSLSocket]) -> None:
    connection, _client = private
    with pytest.raises(NotReady) as waiting:
        for_ever(lambda: connection.send(bytes(65536)))
    assert waiting.value.side is Side.WRITE
    with pytest.raises(NotReady) as waiting:
        connection.end(must_arrive=True)
    assert waiting.value.side is Side.WRITE


@pytest.mark.parametrize("is_cut", [False, True], ids=["close_notify", "cut"])
def test_many_records_come_at_once_and_their_end_is_not_lost(
    private: tuple[DataConnection, ssl.SSLSocket], is_cut: bool
) -> None:
    connection, client = private
    for _ in range(5):
        client.send(b"record")
    if is_cut:
        socket.close(client.detach())
    else:
        client.settimeout(0.01)
        with pytest.raises(TimeoutError):  # its close_notify is out, ours does not come
            client.unwrap()
    pieces: list[bytes] = []
    while sum(map(len, pieces)) < 30:
        pieces.append(receive(connection))
    assert b"".join(pieces) == b"record" * 5
    assert len(pieces) < 5
    if is_cut:
        with pytest.raises(DataLost, match=r"^The data connection ended without close_notify: it may have been cut\.$"):
            receive(connection)
    else:
        assert receive(connection) == b""


def test_many_records_go_out_at_once(private: tuple[DataConnection, ssl.SSLSocket]) -> None:
    connection, client = private
    assert connection.send(memoryview(bytes(100_000))) == 100_000
    connection.end(must_arrive=True)
    assert sum(map(len, iter(lambda: client.recv(65536), b""))) == 100_000


@pytest.mark.parametrize("lenient", [False, True])
def test_d6_an_end_without_close_notify(private: tuple[DataConnection, ssl.SSLSocket], lenient: bool) -> None:
    connection, client = private
    connection.require_close_notify = not lenient
    client.send(b"up")
    socket.close(client.detach())
    assert receive(connection) == b"up"
    if lenient:
        assert receive(connection) == b""
    else:
        with pytest.raises(DataLost, match=r"^The data connection ended without close_notify: it may have been cut\.$"):
            receive(connection)


@pytest.mark.parametrize("lenient", [False, True])
def test_d6_a_reset_of_a_private_upload_is_a_loss_in_any_case(
    private: tuple[DataConnection, ssl.SSLSocket], lenient: bool
) -> None:
    connection, client = private
    connection.require_close_notify = not lenient
    reset(client)
    with pytest.raises(DataLost):
        receive(connection)
    with pytest.raises(DataLost):
        connection.end(must_arrive=True)


def test_garbage_in_a_private_connection_is_a_loss(private: tuple[DataConnection, ssl.SSLSocket]) -> None:
    connection, client = private
    os.write(client.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
    with pytest.raises(DataLost, match=r"^TLS on the data connection failed\.$"):
        receive(connection)


@pytest.mark.parametrize("hello", [b"this is no TLS handshake, just text", b""])
def test_what_is_no_handshake_is_refused(
    pair: tuple[DataConnection, socket.socket], certificate: CertificateFiles, hello: bytes
) -> None:
    connection, client = pair
    connection.start_tls(Certificates(certificate).context())
    connection.end(must_arrive=False)
    client.send(hello)
    client.shutdown(socket.SHUT_WR)
    with pytest.raises(DataRefused, match=r"^The TLS handshake of the data connection failed") as refused:
        until_ready(connection.shake_hands)
    assert refused.value.code == 425


def test_tls_on_a_connection_that_is_gone_is_a_loss(
    pair: tuple[DataConnection, socket.socket], certificate: CertificateFiles
) -> None:
    connection, client = pair
    client.send(b"unread")
    reset(client)
    threading.Event().wait(0.01)

    def greet() -> None:
        connection.start_tls(Certificates(certificate).context())
        until_ready(connection.shake_hands)

    with pytest.raises((DataLost, DataRefused)):
        greet()


def test_interrupting_wakes_the_other_side(pair: tuple[DataConnection, socket.socket]) -> None:
    connection, client = pair
    connection.interrupt()
    assert receive(connection) == b""
    assert client.recv(1) == b""


def test_closing_waits_for_the_clients_own_end(run: Run, pair: tuple[DataConnection, socket.socket]) -> None:
    connection, client = pair

    async def main() -> None:
        Farewells(Deadlines(asyncio.get_running_loop())).add(connection, 30)
        await asyncio.sleep(0)
        assert connection._socket.fileno() >= 0
        client.close()
        await until(lambda: connection._socket.fileno() < 0)

    run(main())


def test_closing_does_not_wait_for_ever(run: Run, pair: tuple[DataConnection, socket.socket]) -> None:
    connection, _client = pair

    async def main() -> None:
        Farewells(Deadlines(asyncio.get_running_loop())).add(connection, 0.01)
        await until(lambda: connection._socket.fileno() < 0)

    run(main())


def test_at_the_servers_end_nobody_is_waited_for(run: Run, pair: tuple[DataConnection, socket.socket]) -> None:
    connection, _client = pair

    async def main() -> None:
        farewells = Farewells(Deadlines(asyncio.get_running_loop()))
        farewells.add(connection, 30)
        farewells.close()
        farewells.close()
        assert connection._socket.fileno() < 0

    run(main())


def test_an_active_connection_reaches_the_client(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            connection = await connect_out(HERE, HERE, listening.getsockname()[1], Waits(), 5)
            accepted, _ = listening.accept()
            accepted.close()
            connection.close()

    run(main())


MOST_UNREAD_BYTES = 4_000_000  # a kill may cost less than 4 MiB


def accepting_client(listening: socket.socket, run: Run) -> tuple[socket.socket, socket.socket]:
    """The server's and the client's end of an active connection."""

    async def main() -> socket.socket:
        return await connect_out(HERE, HERE, listening.getsockname()[1], Waits(), 5)

    server = run(main())
    client, _ = listening.accept()
    bound_unread(server)
    return server, client


def connecting_client(listening: socket.socket) -> tuple[socket.socket, socket.socket]:
    """The server's and the client's end of a connection to a listener."""
    client = socket.create_connection(listening.getsockname())
    server, _ = listening.accept()
    server.setblocking(False)
    bound_unread(server)
    return server, client


def unread_at_the_most(server: socket.socket, client: socket.socket) -> int:
    """How much comes in that nobody reads, after a while in which so much was read that the kernel would hold more."""
    client.setblocking(False)
    piece, buffer, read = bytes(1024 * 1024), bytearray(1024 * 1024), 0
    while read < 256 * 1024 * 1024:
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                client.send(piece)
        with contextlib.suppress(BlockingIOError):
            read += server.recv_into(buffer)
    with contextlib.suppress(BlockingIOError):
        for _ in range(1000):
            client.send(piece)
    server.setblocking(False)
    unread = 0
    with contextlib.suppress(BlockingIOError):
        # Reading opens the window again; what was there before is what one look finds.
        unread = server.recv_into(bytearray(64 * 1024 * 1024), 0, socket.MSG_PEEK)
    return unread


@pytest.mark.parametrize("is_active", [False, True], ids=["passive", "active"])
def test_little_lies_unread_to_be_lost_when_the_server_is_killed(run: Run, is_active: bool) -> None:
    if not _can_bound():
        pytest.skip("net.core.rmem_max is low here")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server, client = accepting_client(listening, run) if is_active else connecting_client(listening)
        with server, client:
            assert unread_at_the_most(server, client) < MOST_UNREAD_BYTES


@pytest.mark.parametrize(
    ("name", "value"), [("_UNREAD_BYTES", 1 << 30), ("_LONG_ROUND_TRIP_US", 0)], ids=["allows too little", "long line"]
)
def test_a_kernel_whose_own_bound_is_better_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(data, name, value)
    monkeypatch.setattr(data, "_can_bound", _can_bound.__wrapped__)
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as own:
        before = own.getsockopt(*RECEIVE_BUFFER)
        bound_unread(own)
        assert own.getsockopt(*RECEIVE_BUFFER) == before


def test_a_closed_port_is_a_refusal_at_once(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        with pytest.raises(DataRefused, match=rf"^Cannot connect to your port {port}: Connection refused\.$"):
            await connect_out(HERE, HERE, port, Waits(), 5)

    run(main())


def test_d4_a_port_that_never_answers_is_given_up(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
            address = listening.getsockname()
            full = []
            for _ in range(4):  # the queue is full: the kernel answers no more
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(address)
                full.append(filler)
            await asyncio.sleep(0.01)
            with pytest.raises(DataRefused, match=r"Connection timed out\.$"):
                await connect_out(HERE, HERE, address[1], Waits(), 0.02)
            waiting = asyncio.ensure_future(connect_out(HERE, HERE, address[1], Waits(), 50))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            for filler in full:
                filler.close()

    run(main())
