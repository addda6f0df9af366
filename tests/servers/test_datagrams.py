"""What every UDP service refuses before it sees anything: threats U1 and U3."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import random
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import pytest
from tests.servers.loops import Run, until

from homeport.servers.datagrams import Ancillary, Counts, Datagrams, Door, Peer, Rules, _source_of, open_datagrams
from homeport.servers.lifecycle import Address
from homeport.servers.listening import Wish
from homeport.servers.networks import Networks

WISH = Wish("echo", ("127.0.0.1",), 0)


def echo(data: bytes, _peer: Peer, _door: Door) -> bytes | None:
    if data == b"raise":
        raise RuntimeError("a mistake in the service")
    if data.startswith(b"times "):
        return data * int(data[6:])
    return data or None


@asynccontextmanager
async def served(rules: Rules, **options: Any) -> AsyncIterator[tuple[Datagrams, socket.socket]]:
    datagrams = Datagrams(open_datagrams(WISH), rules, echo, **options)
    datagrams.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.bind(("127.0.0.1", 0))
        client.connect(("127.0.0.1", datagrams.addresses[0].port))
        try:
            yield datagrams, client
        finally:
            datagrams.close()
            datagrams.close()
    assert datagrams.addresses == ()


async def seen(datagrams: Datagrams, count: int) -> None:
    await until(lambda: datagrams.counts.received >= count)


async def answer(client: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65536), 10)


def test_hosts_share_one_port_and_nothing_stays_open_after_a_failure() -> None:
    opened = open_datagrams(Wish("echo", ("127.0.0.1", "::1"), 0))
    port = opened[0][0].port
    assert [address for address, _ in opened] == [
        Address("echo", host, port, transport="udp") for host in ("127.0.0.1", "::1")
    ]
    with pytest.raises(OSError, match="Address already in use"):
        open_datagrams(Wish("echo", ("127.0.0.1",), port))
    for _, made in opened:
        made.close()


def test_a_machine_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    class WithoutIPv6(real):  # type: ignore[misc, valid-type]
        def __init__(self, family: int = -1, *arguments: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no IPv6")
            super().__init__(family, *arguments)

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    opened = open_datagrams(Wish("echo", ("0.0.0.0", "::"), 0))
    assert [address.host for address, _ in opened] == ["0.0.0.0"]
    for _, made in opened:
        made.close()
    with pytest.raises(OSError, match="none of :: can be listened on"):
        open_datagrams(Wish("echo", ("::",), 0))
    with pytest.raises(OSError, match="no IPv6"):
        open_datagrams(Wish("echo", ("::1",), 0))


@pytest.mark.skipif(sys.platform != "linux", reason="the rest of 127.0.0.0/8 is no address of other systems")
@pytest.mark.parametrize(
    ("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("0.0.0.0", "127.8.0.9"), ("::", "::1")]
)
def test_an_answer_comes_from_the_address_that_was_asked(run: Run, host: str, asked: str) -> None:
    async def main() -> None:
        kept: list[tuple[Door, Peer]] = []

        def keep(data: bytes, peer: Peer, door: Door) -> bytes:
            kept.append((door, peer))
            return data

        datagrams = Datagrams(open_datagrams(Wish("echo", (host,), 0)), Rules(), keep)
        datagrams.open()
        with contextlib.closing(datagrams):
            port = datagrams.addresses[0].port
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect((asked, port))  # takes nothing from any other address
                for _ in range(2):
                    client.send(b"hello")
                    assert await answer(client) == b"hello"
                (door, peer), again = kept
                assert (door, peer) == again
                assert hash(door) == hash(again[0])
                assert door.port == port
                assert door.send(b"by the way", peer)
                assert await answer(client) == b"by the way"

    run(main())


IN6 = (socket.IPPROTO_IPV6, 50)
ANCILLARY = [
    ([], None),
    ([(0, 8, struct.pack("=i4s4s", 3, b"abcd", b"efgh"))], (0, 8, struct.pack("=i4s4s", 0, b"abcd", bytes(4)))),
    ([(0, 8, b"cut")], None),
    ([(0, 2, bytes(12)), (*IN6, struct.pack("=16sI", b"a" * 16, 3))], (*IN6, struct.pack("=16sI", b"a" * 16, 0))),
    ([(*IN6, b"\xff" * 20)], None),  # a group's address is nobody's own
]


@pytest.mark.parametrize(("ancillary", "source"), ANCILLARY)
def test_which_address_was_asked(ancillary: list[Ancillary], source: Ancillary | None) -> None:
    assert _source_of(ancillary) == source


def test_doors_are_equal_when_the_same_comes_out_of_both() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        source = (0, 8, bytes(12))
        doors = [Door(one, 1, Counts()), Door(two, 1, Counts()), Door(one, 1, Counts(), source), "door"]
        assert [[left == right for right in doors] for left in doors] == [
            [left is right for right in doors] for left in doors
        ]
        assert Door(one, 1, Counts(), source) == doors[2]


def test_a_datagram_is_answered_and_counted(run: Run) -> None:
    async def main() -> None:
        async with served(Rules()) as (datagrams, client):
            client.send(b"hello")
            assert await answer(client) == b"hello"
            client.send(b"")
            await seen(datagrams, 2)
            await until(lambda: datagrams.counts.unanswered == 1)
            assert datagrams.counts.as_object() == asdict(datagrams.counts)
            assert datagrams.counts.answered == 1

    run(main())


@pytest.mark.parametrize(
    ("rules", "sent", "count"),
    [
        (Rules(max_bytes=10), b"x" * 11, "too_long"),
        (Rules(networks=Networks(deny=("127.0.0.0/8",))), b"x", "denied"),
        (Rules(networks=Networks(allow=("10.0.0.0/8",))), b"x", "denied"),
        (Rules(reply_bytes=0), b"times 2", "reply_too_long"),
        (Rules(reply_bytes=13), b"times 2", "reply_too_long"),
        (Rules(), b"raise", "failed"),
        (Rules(reply_bytes=None, max_bytes=10), b"times 9999999", "too_long"),
        (Rules(reply_bytes=None), b"times 99999", "unsent"),
    ],
)
def test_what_gets_no_answer(run: Run, caplog: pytest.LogCaptureFixture, rules: Rules, sent: bytes, count: str) -> None:
    async def main() -> None:
        async with served(rules) as (datagrams, client):
            client.send(sent)
            await until(lambda: getattr(datagrams.counts, count) == 1)
            assert datagrams.counts.answered == 0

    run(main())
    assert bool(caplog.records) == (count == "failed")


def test_an_answer_as_long_as_allowed_is_sent(run: Run) -> None:
    async def main() -> None:
        async with served(Rules(reply_bytes=14)) as (_, client):
            client.send(b"times 2")
            assert await answer(client) == b"times 2" * 2

    run(main())


def test_u1_an_address_gets_its_rate_and_hears_once_that_it_is_over(run: Run) -> None:
    async def main() -> None:
        rules = Rules(per_s=1, burst=3)
        async with served(rules, over=lambda *_: b"slow", clock=lambda: 0.0) as (datagrams, client):
            for _ in range(10):
                client.send(b"ping")
            await seen(datagrams, 10)
            assert [await answer(client) for _ in range(4)] == [b"ping"] * 3 + [b"slow"]
            assert (datagrams.counts.over_rate, datagrams.counts.answered) == (7, 4)

    run(main())


def test_u1_services_that_answer_anything_are_not_answered(run: Run) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echoing:
            echoing.bind(("127.0.0.1", 0))
            rules = Rules(refused_ports=frozenset({echoing.getsockname()[1]}))
            async with served(rules) as (datagrams, _):
                echoing.sendto(b"bounce", ("127.0.0.1", datagrams.addresses[0].port))
                await until(lambda: datagrams.counts.denied == 1)

    run(main())


def test_u1_two_servers_on_the_same_port_do_not_talk_for_ever(run: Run) -> None:
    async def main() -> None:
        async with served(Rules()) as (datagrams, _):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as twin:
                port = datagrams.addresses[0].port
                twin.bind(("127.0.0.2", port))
                twin.sendto(b"bounce", ("127.0.0.1", port))
                await until(lambda: datagrams.counts.denied == 1)

    run(main())


def test_u3_nothing_that_comes_raises_or_stops_the_service(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        noise = random.Random(7)
        async with served(Rules(per_s=1e6, burst=1e6)) as (datagrams, client):
            for size in (0, 1, 1472, 1473, 65507, *(noise.randrange(2000) for _ in range(500))):
                client.send(noise.randbytes(size))
                await asyncio.sleep(0)
            client.send(b"raise")
            client.send(b"raise")
            await until(lambda: datagrams.counts.failed == 2)
            while True:
                client.send(b"still there")
                if await answer(client) == b"still there":
                    break

    run(main())
    complaints = [record for record in caplog.records if record.name.startswith("homeport.")]
    assert [record.levelno for record in complaints] == [logging.ERROR]  # once a minute, not for each
    assert "echo: a datagram from 127.0.0.1 could not be answered" in caplog.text


def test_an_answer_that_nobody_wants_disturbs_nobody(run: Run) -> None:
    """The kernel reports a closed port at the next call on the socket that sent there."""

    async def main() -> None:
        async with served(Rules()) as (datagrams, client):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
                gone.sendto(b"bye", ("127.0.0.1", datagrams.addresses[0].port))
            await seen(datagrams, 1)
            client.send(b"hello")
            assert await answer(client) == b"hello"

    run(main())
