from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.servers.loops import Run, until

from homeport.core.sessions import SessionLimits, Sessions
from homeport.servers.extensions.contract import Context
from homeport.servers.extensions.loading import load_stream
from homeport.servers.extensions.stream_server import StreamRules, StreamServer
from homeport.servers.listening import Wish
from homeport.servers.networks import Networks

EXAMPLES = str(Path(__file__).parents[3] / "examples")
CONTEXT = Context("upper", {"max_bytes": 1000}, logging.getLogger("homeport.services.upper"))
WISH = Wish("upper", ("127.0.0.1",), 0)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Scripted:
    """A service that does as a test says."""

    def __init__(self) -> None:
        self.life: list[str] = []
        self.clients = 0
        self.error: Exception | None = None
        self.floods = False
        self.waits = asyncio.Event()

    async def start(self) -> None:
        self.life.append("start")

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients += 1
        if self.error is not None:
            raise self.error
        if self.floods:
            writer.write(bytes(1 << 20))
            await writer.drain()
            self.life.append("flooded")
        await self.waits.wait()

    async def stop(self) -> None:
        self.life.append("stop")


@asynccontextmanager
async def serving(server: StreamServer) -> AsyncIterator[StreamServer]:
    await server.bind()
    await server.serve()
    try:
        yield server
    finally:
        await server.close()
        await server.close()


def upper(wish: Wish = WISH, rules: StreamRules | None = None, sessions: Sessions | None = None) -> StreamServer:
    service = load_stream(CONTEXT, "upper_echo:UpperEcho", EXAMPLES)
    sessions = Sessions(SessionLimits()) if sessions is None else sessions
    return StreamServer(CONTEXT, service, wish, rules or StreamRules(), sessions)


async def reach(server: StreamServer) -> Streams:
    address = server.addresses[0]
    if address.path is not None:
        return await asyncio.open_unix_connection(address.path)
    return await asyncio.open_connection(address.host, address.port)


def framed(*texts: str) -> bytes:
    return b"".join(struct.pack(">I", len(text.encode())) + text.encode() for text in texts)


async def closed(streams: Streams) -> bytes:
    """What comes until the server has closed."""
    reader, writer = streams
    try:
        rest = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        rest = b""
    writer.close()
    return rest


@pytest.mark.parametrize("piece", [1, 3, 10_000])
def test_messages_neither_stick_together_nor_come_apart(run: Run, piece: int) -> None:
    async def main() -> None:
        async with serving(upper()) as server:
            reader, writer = await reach(server)
            sent, expected = (
                framed("straße", "", "你好 world", "x" * 900),
                framed("STRASSE", "", "你好 WORLD", "X" * 900),
            )
            for at in range(0, len(sent), piece):
                writer.write(sent[at : at + piece])
                await writer.drain()
            assert await reader.readexactly(len(expected)) == expected
            writer.write_eof()
            assert await closed((reader, writer)) == b""

    run(main())


@pytest.mark.parametrize("bad", [struct.pack(">I", 1001), b"\xff" * 9000, b"\0\0"])
def test_a_client_that_breaks_the_rules_is_let_go(run: Run, bad: bytes) -> None:
    async def main() -> None:
        async with serving(upper()) as server:
            reader, writer = await reach(server)
            writer.write(framed("a") + bad)
            writer.write_eof()
            assert (await closed((reader, writer)))[:5] in (framed("A"), b"")

    run(main())


def test_it_listens_on_ipv6_and_unix_sockets_too(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        wish = Wish("upper", (f"unix:{tmp_path}/upper", "::1"), 0)
        sessions = Sessions(SessionLimits())
        async with serving(upper(wish, sessions=sessions)) as server:
            assert [str(address).rpartition(":")[0] for address in server.addresses] == ["unix", "[::1]"]
            reader, writer = await reach(server)
            writer.write(framed("hi"))
            assert await reader.readexactly(6) == framed("HI")
            (record,) = sessions.snapshot()
            assert (record.protocol, record.peer, record.doing) == ("upper", "unix", "connected")
            writer.close()
            await until(lambda: not len(sessions))

    run(main())


@pytest.mark.parametrize(
    ("rules", "limits"),
    [
        (StreamRules(Networks(deny=("127.0.0.0/8",))), SessionLimits()),
        (StreamRules(Networks(allow=("10.0.0.0/8",))), SessionLimits()),
        (StreamRules(max_connections=0), SessionLimits()),
        (StreamRules(), SessionLimits(per_address=0)),
    ],
)
def test_who_may_not_come_in_never_meets_the_service(run: Run, rules: StreamRules, limits: SessionLimits) -> None:
    async def main() -> None:
        service = Scripted()
        async with serving(StreamServer(CONTEXT, service, WISH, rules, Sessions(limits))) as server:
            assert await closed(await reach(server)) == b""
        assert (service.clients, service.life) == (0, ["start", "stop"])

    run(main())


@pytest.mark.parametrize("floods", [False, True])
def test_a_silent_client_is_let_go(run: Run, floods: bool) -> None:
    async def main() -> None:
        service = Scripted()
        service.floods = floods
        sessions = Sessions(SessionLimits())
        rules = StreamRules(idle_timeout_s=0.05)
        async with serving(StreamServer(CONTEXT, service, WISH, rules, sessions)) as server:
            await closed(await reach(server))
            service.waits.set()
            await until(lambda: not len(sessions))

    run(main())


@pytest.mark.parametrize(
    ("error", "logged"),
    [(ConnectionResetError(), False), (asyncio.IncompleteReadError(b"", 4), False), (ValueError("oh"), True)],
)
def test_a_service_that_fails_lets_its_client_go_and_serves_others(
    run: Run, caplog: pytest.LogCaptureFixture, error: Exception, logged: bool
) -> None:
    async def main() -> None:
        service = Scripted()
        service.error = error
        rules = StreamRules(idle_timeout_s=0)
        async with serving(StreamServer(CONTEXT, service, WISH, rules, Sessions(SessionLimits()))) as server:
            for _ in range(2):
                assert await closed(await reach(server)) == b""
        assert service.clients == 2

    caplog.set_level(logging.WARNING)
    run(main())
    assert ("a client at 127.0.0.1 could not be served" in caplog.text) is logged


def test_a_kick_and_the_end_of_the_server_end_connections(run: Run) -> None:
    async def main() -> None:
        service, sessions = Scripted(), Sessions(SessionLimits())
        async with serving(StreamServer(CONTEXT, service, WISH, StreamRules(), sessions)) as server:
            streams = await reach(server)
            await until(lambda: service.clients)
            assert sessions.kick(sessions.snapshot()[0].id, "go") == 1
            assert await closed(streams) == b""
            left = await reach(server)
            await until(lambda: service.clients == 2)
        assert await closed(left) == b""
        assert len(sessions) == 0

    run(main())


def test_a_drain_takes_nobody_new_and_waits_for_who_is_there(run: Run) -> None:
    async def main() -> None:
        service = Scripted()
        server = StreamServer(CONTEXT, service, WISH, StreamRules(), Sessions(SessionLimits()))
        async with serving(server):
            address = server.addresses[0]
            streams = await reach(server)
            await until(lambda: service.clients)
            draining = asyncio.create_task(server.drain(20))
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address.host, address.port), 5)
            service.waits.set()
            await draining
            assert await closed(streams) == b""

    run(main())


def test_an_unused_server_closes_without_having_started_the_service(run: Run) -> None:
    async def main() -> None:
        service = Scripted()
        server = StreamServer(CONTEXT, service, WISH, StreamRules(), Sessions(SessionLimits()))
        await server.close()
        assert service.life == []

    run(main())
