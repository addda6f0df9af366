"""The time services on real sockets: threats U1 and U3 as they meet them."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from datetime import UTC, datetime, timedelta

import pytest
from tests.servers.loops import Run, until

from homeport.config.time import NtpSettings, TimeSettings
from homeport.daemon.time_service import ntp_rules, text_rules
from homeport.protocols.ntp import measure, question
from homeport.servers.lifecycle import Address
from homeport.servers.listening import Wish
from homeport.servers.udp.host_clock import HostClock, KernelClock
from homeport.servers.udp.server import UdpServer
from homeport.servers.udp.time_answers import Sntp, TextTime, Zones

NOW = datetime(2027, 1, 3, 4, 5, 6, tzinfo=UTC)


def text_server(**settings: object) -> UdpServer:
    rules = text_rules(TimeSettings.model_validate(settings))
    return UdpServer(Wish("time", ("127.0.0.1",), 0), rules, TextTime(Zones(), lambda: NOW).answer)


def ntp_server(kernel: KernelClock | None = None, **settings: object) -> UdpServer:
    sntp = Sntp(HostClock(3, lambda: kernel))
    rules = ntp_rules(NtpSettings.model_validate(settings))
    return UdpServer(Wish("ntp", ("127.0.0.1",), 0), rules, sntp.answer, over=sntp.over)


class Client:
    def __init__(self, server: UdpServer) -> None:
        (address,) = server.addresses
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect((address.host, address.port))

    async def ask(self, request: bytes) -> bytes:
        self.socket.send(request)
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 65536), 10)


async def started(server: UdpServer) -> Client:
    await server.bind()
    await server.serve()
    return Client(server)


async def ended(server: UdpServer, client: Client) -> None:
    client.socket.close()
    await server.drain(1)
    await server.close()
    await server.close()
    assert server.addresses == ()


def test_the_time_as_text(run: Run) -> None:
    async def main() -> None:
        server = text_server()
        client = await started(server)
        assert server.addresses == (Address("time", "127.0.0.1", server.addresses[0].port, transport="udp"),)
        assert await client.ask(b"") == b"2027-01-03 04:05:06"
        assert await client.ask(b"@Asia/Shanghai %H:%M %Z") == b"12:05 CST"
        assert await client.ask(b"@Europe/Atlantis %H") == b"? no such time zone; write such as @Asia/Shanghai %H:%M"
        server.reload(text_rules(TimeSettings(deny=("127.0.0.0/8",))))
        client.socket.send(b"")
        await until(lambda: server.datagrams.counts.denied == 1)
        await ended(server, client)

    run(main())


def test_the_machine_s_own_zone_is_the_default() -> None:
    answer = TextTime(Zones()).answer(b"%s %z", None, None)  # type: ignore[arg-type]
    assert answer is not None
    told, offset = answer.decode().split()
    now = datetime.now().astimezone()
    assert abs(now - datetime.fromtimestamp(int(told), UTC)) < timedelta(seconds=60)
    assert offset == now.strftime("%z")


def test_a_clock_s_question(run: Run) -> None:
    async def main() -> None:
        server = ntp_server(KernelClock(0, 0, 5000))
        client = await started(server)
        found = measure(await client.ask(question(77)), 77, *[int(datetime.now().timestamp() * 1e9)] * 2)
        assert (found.stratum, found.synchronised) == (3, True)
        assert abs(found.offset_s) < 30
        await ended(server, client)

    run(main())


def test_u1_who_asks_too_often_hears_rate_once(run: Run) -> None:
    async def main() -> None:
        server = ntp_server(requests_per_s=1)
        client = await started(server)
        answers = [await client.ask(question(number)) for number in range(3)]
        assert [(answer[1], answer[12:16]) for answer in answers] == [(16, bytes(4))] * 2 + [(0, b"RATE")]
        for _ in range(20):
            client.socket.send(question(1))
        await until(lambda: server.datagrams.counts.received == 23)
        assert server.datagrams.counts.answered == 3
        await ended(server, client)

    run(main())


def test_u1_monlist_and_its_like_are_never_answered(run: Run) -> None:
    async def main() -> None:
        server = ntp_server()
        client = await started(server)
        monlist = bytes.fromhex("17 00 03 2a") + bytes(4)
        for mode in (0, 1, 2, 4, 5, 6, 7):
            client.socket.send(bytes([0x20 | mode]) + bytes(47))
        client.socket.send(monlist)
        client.socket.send(monlist + bytes(184))
        await until(lambda: server.datagrams.counts.unanswered == 9)
        assert server.datagrams.counts.answered == 0
        await ended(server, client)

    run(main())


@pytest.mark.parametrize("kind", ["time", "ntp"])
def test_u1_amplification_is_bounded_for_every_size_of_request(kind: str) -> None:
    """For each size from 0 to 1472 no answer is longer than its request, or than 64 bytes for text."""
    floor = {"time": 64, "ntp": 0}[kind]
    answer = {
        "time": TextTime(Zones(), lambda: NOW).answer,
        "ntp": Sntp(HostClock(3, lambda: KernelClock(0, 0, 1))).answer,
    }[kind]
    answered = 0
    for size in range(1473):
        for request in (bytes(size), (b"%c" * size)[:size], question(1)[:size].ljust(size, b"\0"), b"@UTC %A"[:size]):
            made = answer(request, None, None)  # type: ignore[arg-type]
            answered += made is not None
            assert len(made or b"") <= max(len(request), floor)
    assert answered > 1000


@pytest.mark.parametrize("make", [text_server, ntp_server])
def test_u3_noise_of_every_size_does_no_harm(run: Run, caplog: pytest.LogCaptureFixture, make: type) -> None:
    async def main() -> None:
        server = make(requests_per_s=1_000_000)
        client = await started(server)
        noise = random.Random(5)
        for size in (0, 1, 47, 48, 512, 513, 1472, 65507, *(noise.randrange(1500) for _ in range(300))):
            client.socket.send(noise.randbytes(size))
            await asyncio.sleep(0)
        await until(lambda: server.datagrams.counts.received == 308)
        assert server.datagrams.counts.failed == 0
        client.socket.close()
        await server.close()

    caplog.set_level(logging.WARNING)
    run(main())
    assert caplog.records == []
