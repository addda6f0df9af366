from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from tests.servers.loops import Run, until

from homeport.servers.arrivals import Arrivals
from homeport.servers.lifecycle import Address
from homeport.servers.listening import Wish, open_all

FAREWELL = "the server is going down"
SOON_S, NEVER_S = 0.02, 20.0


class Visitor(asyncio.Protocol):
    """A client of the server: he goes when he is asked, if he is not `busy`, or `deaf` to every word."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.busy, self.deaf = house.busy, house.deaf
        self.heard: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.house.arrivals.came(self)
        self.house.all.append(self)
        self.transport.write(b"hello")

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append("lost")
        if not self.deaf:
            self.house.arrivals.gone(self)

    def drain(self, reason: str) -> None:
        self.heard.append(f"drain: {reason}")
        if not self.busy:
            self.transport.close()

    def terminate(self, reason: str) -> None:
        self.heard.append(f"terminate: {reason}")
        self.transport.write(reason.encode())

    def abort(self) -> None:
        self.heard.append("abort")
        self.transport.close()


class House:
    """One server that is nothing but its arrivals."""

    def __init__(self, *, busy: bool = False, deaf: bool = False) -> None:
        self.busy, self.deaf = busy, deaf
        self.all: list[Visitor] = []
        self.arrivals: Arrivals[Visitor] = Arrivals(self.welcome, FAREWELL)
        self.welcomed: list[Address] = []
        self.trouble: OSError | None = None

    def welcome(self, _connection: socket.socket, address: Address) -> Visitor:
        self.welcomed.append(address)
        if self.trouble is not None:
            raise self.trouble
        return Visitor(self)

    def knock(self) -> socket.socket:
        """A client whose connection is made, as far as he can see."""
        address = self.arrivals.addresses[0]
        return socket.create_connection((address.host, address.port), 10)


@asynccontextmanager
async def opened(**options: bool) -> AsyncIterator[House]:
    house = House(**options)
    house.arrivals.bound(open_all(Wish("ftp", ("127.0.0.1",), 0)))
    house.arrivals.serve()
    try:
        yield house
    finally:
        await house.arrivals.close()


def test_whoever_comes_is_there_until_he_is_gone(run: Run) -> None:
    async def main() -> None:
        async with opened() as house:
            with house.knock(), house.knock():
                await until(lambda: len(house.arrivals.clients) == 2)
                assert set(house.arrivals.clients) == set(house.all)
                assert house.welcomed == [*house.arrivals.addresses] * 2
            await until(lambda: not house.arrivals.clients)

    run(main())


@pytest.mark.parametrize(
    ("busy", "deadline_s", "heard", "left"),
    [
        pytest.param(False, NEVER_S, [f"drain: {FAREWELL}", "lost"], 0, id="idle ones go at once"),
        pytest.param(True, SOON_S, [f"drain: {FAREWELL}"], 1, id="busy ones are waited for, not for ever"),
    ],
)
def test_draining(run: Run, busy: bool, deadline_s: float, heard: list[str], left: int) -> None:
    async def main() -> None:
        async with opened(busy=busy) as house:
            [address] = house.arrivals.addresses
            with house.knock():
                await until(lambda: house.arrivals.clients)
                await house.arrivals.drain(deadline_s)
                assert house.all[0].heard == heard
                assert len(house.arrivals.clients) == left
                assert house.arrivals.addresses == (address,)
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((address.host, address.port), 10).close()

    run(main())


def test_draining_ends_with_the_last_busy_one(run: Run) -> None:
    async def main() -> None:
        async with opened(busy=True) as house:
            with house.knock(), house.knock():
                await until(lambda: len(house.all) == 2)
                draining = asyncio.ensure_future(house.arrivals.drain(NEVER_S))
                await until(lambda: all(visitor.heard for visitor in house.all))
                house.all[0].transport.close()
                await until(lambda: len(house.arrivals.clients) == 1)
                assert not draining.done()
                house.all[1].transport.close()
                await asyncio.wait_for(draining, NEVER_S)

    run(main())


def on_the_doorstep(house: House) -> socket.socket:
    """Our end of a connection that was accepted in this very turn of the loop."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.settimeout(10)
    house.arrivals._accepted(theirs, house.arrivals.addresses[0])
    return ours


def test_who_is_on_the_doorstep_while_it_drains_is_asked_to_go_too(run: Run) -> None:
    async def main() -> None:
        async with opened() as house:
            with on_the_doorstep(house) as ours:
                await house.arrivals.drain(NEVER_S)
                assert house.all[0].heard == [f"drain: {FAREWELL}", "lost"]
                assert ours.recv(100) == b"hello"
                assert ours.recv(100) == b""

    run(main())


@pytest.mark.parametrize("turns", range(5))
def test_who_is_on_the_doorstep_while_it_closes_is_let_go(run: Run, turns: int) -> None:
    async def main() -> None:
        async with opened() as house:
            with on_the_doorstep(house) as ours:
                for _ in range(turns):
                    await asyncio.sleep(0)
                await house.arrivals.close()
                assert house.arrivals.clients == ()
                said = b""
                while part := ours.recv(100):
                    said += part
                assert said == b"hello" + FAREWELL.encode()

    run(main())


def test_who_is_on_the_doorstep_when_the_loop_ends_is_cut(run: Run) -> None:
    house = House()

    async def main() -> socket.socket:
        house.arrivals.bound(open_all(Wish("ftp", ("127.0.0.1",), 0)))
        house.arrivals.serve()
        ours = on_the_doorstep(house)
        [task] = house.arrivals._arriving
        task.cancel()
        await house.arrivals.close()
        return ours

    with run(main()) as ours:
        assert ours.recv(100) == b""
    assert house.welcomed == []


@pytest.mark.parametrize("bound", [False, True])
def test_closing_works_in_every_stage_and_tells_who_did_it(run: Run, bound: bool) -> None:
    async def main() -> None:
        house = House()
        if bound:
            house.arrivals.bound(open_all(Wish("ftp", ("127.0.0.1",), 0)))
        assert await house.arrivals.close()
        assert not await house.arrivals.close()
        with pytest.raises(RuntimeError, match=r"^a server that is closed cannot become serving$"):
            house.arrivals.serve()

    run(main())


def test_closing_says_why_then_cuts(run: Run) -> None:
    async def main() -> None:
        async with opened(busy=True) as house:
            with house.knock() as ours:
                await until(lambda: house.arrivals.clients)
                await house.arrivals.close()
                assert house.all[0].heard == [f"terminate: {FAREWELL}", "abort", "lost"]
                assert ours.recv(100, socket.MSG_WAITALL) == b"hello" + FAREWELL.encode()

    run(main())


def test_closing_waits_for_nobody_for_ever(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.servers.arrivals._CLOSE_S", SOON_S)

    async def main() -> None:
        async with opened(deaf=True) as house:
            with house.knock():
                await until(lambda: house.arrivals.clients)
                assert await house.arrivals.close()
                assert len(house.arrivals.clients) == 1

    run(main())


Patch = Callable[[pytest.MonkeyPatch, House], None]


def cannot_be_welcomed(_: pytest.MonkeyPatch, house: House) -> None:
    house.trouble = OSError("gone again")


def cannot_be_adopted(monkeypatch: pytest.MonkeyPatch, _: House) -> None:
    async def refuse(*_: Any) -> None:
        raise OSError("gone again")

    class Loop:
        connect_accepted_socket = staticmethod(refuse)

    monkeypatch.setattr("homeport.servers.arrivals.asyncio.get_running_loop", Loop)


@pytest.mark.parametrize("patch", [cannot_be_welcomed, cannot_be_adopted])
def test_who_goes_away_while_he_comes_is_forgotten(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, patch: Patch
) -> None:
    async def main() -> None:
        async with opened() as house:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            with ours, monkeypatch.context() as patched:
                patch(patched, house)
                await house.arrivals._adopt(theirs, house.arrivals.addresses[0])
                ours.settimeout(10)
                assert ours.recv(100) == b""
            assert house.arrivals.clients == ()

    with caplog.at_level(logging.DEBUG, "homeport.servers.arrivals"):
        run(main())
    assert "a client went away while it came: gone again" in caplog.messages
