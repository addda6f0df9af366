"""Control connections over a transport in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.servers.loops import Run, until
from tests.servers.running import SETTINGS

from homeport.core.account_fields import AccountLimits
from homeport.core.errors import HomeUnavailable, LoginRefused
from homeport.core.paths import ROOT
from homeport.core.sessions import SessionLimits, Sessions
from homeport.protocols.ftp.events import Request
from homeport.servers.arrivals import Arrivals
from homeport.servers.core_access import CoreAccess
from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp import control, handlers
from homeport.servers.ftp.control import ControlConnection
from homeport.servers.ftp.data import Farewells
from homeport.servers.ftp.front import Front
from homeport.servers.ftp.passive import PassivePorts
from homeport.servers.ftp.session import FtpSession
from homeport.servers.ftp.settings import FtpSettings
from homeport.servers.offload import Offload

PLAIN = replace(SETTINGS, tls="off", implicit_port=None)


class Transport:
    """What was written, and whether it was closed. A test says when the client reads."""

    def __init__(self, peer: object = ("127.0.0.1", 4000)) -> None:
        self.peer = peer
        self.written: list[bytes] = []
        self.reading = True
        self.closed = self.aborted = False

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 21) if name == "sockname" else self.peer

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def text(self) -> str:
        text, self.written = b"".join(self.written).decode(), []
        return text


class FakeHome:
    account: Any = None

    def close(self) -> None:
        return


class FakeLogin:
    """Lets everybody in, unless told otherwise."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def authenticate(self, name: str, password: str, address: str) -> Any:
        if self.error:
            raise self.error

        class Account:
            id = 1
            charset = None

            limits = AccountLimits()

        Account.name = name  # type: ignore[attr-defined]
        return Account


class Stand:
    """One connection and everything around it."""

    def __init__(self, settings: FtpSettings = PLAIN, limits: SessionLimits | None = None) -> None:
        self.login = FakeLogin()
        self.open_home: Callable[..., Any] = lambda account, record: FakeHome()
        self.files, self.logins = Offload(2), Offload(1)
        self.events: list[Any] = []
        login: Any = self.login
        self.core = CoreAccess(
            login=login,
            sessions=Sessions(limits),
            open_home=lambda account, record: self.open_home(account, record),
            files=self.files,
            listings=self.files,
            logins=self.logins,
            audit=self.events.append,
        )
        deadlines = Deadlines(asyncio.get_running_loop())
        self.front = Front(settings, self.core, None, deadlines, PassivePorts((), deadlines, 5.0), Farewells(deadlines))
        self.arrivals: Arrivals[ControlConnection] = Arrivals(lambda *_: asyncio.Protocol(), "")
        self.transport = Transport()

    def connect(self, peer: object = ("127.0.0.1", 4000)) -> ControlConnection:
        self.transport = Transport(peer)
        connection = ControlConnection(self.front, self.arrivals, implicit_tls=False)
        transport: Any = self.transport
        connection.connection_made(transport)
        return connection

    async def logged_in(self) -> ControlConnection:
        connection = self.connect()
        connection.data_received(b"USER alice\r\nPASS secret\r\n")
        await until(lambda: connection._engine.logged_in)
        await until(lambda: not connection.busy)
        self.transport.text()
        return connection

    async def close(self, connection: ControlConnection) -> None:
        connection.connection_lost(None)
        await until(lambda: not self.arrivals.clients)
        assert len(self.core.sessions) == 0
        self.files.close()
        self.logins.close()


def test_a_burst_of_commands_is_one_write_and_no_task(run: Run) -> None:
    async def main() -> None:
        stand = Stand()
        connection = await stand.logged_in()
        connection.data_received(b"NOOP\r\n" * 100 + b"SYST\r\n")
        assert len(stand.transport.written) == 1
        assert stand.transport.text().count("\r\n") == 101
        assert not connection.busy
        await stand.close(connection)

    run(main())


def test_a_handler_that_never_waits_makes_no_task(run: Run) -> None:
    async def main() -> None:
        stand = Stand()
        connection = await stand.logged_in()
        connection.data_received(b"PWD\r\nPWD\r\n")
        assert not connection.busy
        assert len(stand.transport.written) == 1
        await stand.close(connection)

    run(main())


def test_who_does_not_read_is_not_read_from(run: Run) -> None:
    async def main() -> None:
        stand = Stand()
        connection = await stand.logged_in()
        connection.pause_writing()
        assert [stand.transport.reading] == [False]
        connection.data_received(b"NOOP\r\n" * 50_000)  # what was on its way already
        assert stand.transport.text() == ""
        connection.resume_writing()
        await until(lambda: b"".join(stand.transport.written).count(b"\r\n") == 50_000)
        assert stand.transport.reading
        await stand.close(connection)

    run(main())


def test_thousands_of_commands_at_once_are_answered_in_turns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_TURN_S", 0.0)  # a turn is one burst of replies, however fast the machine

    async def main() -> None:
        stand = Stand()
        flooding = await stand.logged_in()
        theirs = stand.transport
        flooding.data_received(b"NOOP\r\n" * 5000 + b"QUIT\r\n")
        flooding.eof_received()  # they are answered all the same, as if the end had come later
        turns = [theirs.text().count("\r\n")]
        while not theirs.closed:
            await asyncio.sleep(0)  # one round of the loop, in which every connection has its turn
            turns.append(theirs.text().count("\r\n"))
        assert sum(turns) == 5001
        assert max(turns) < 1000
        await stand.close(flooding)

    run(main())


def test_a_long_turn_is_followed_by_a_rest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop may hand over what came in many pieces, one after the other, before anybody else has his turn."""
    monkeypatch.setattr(control, "_TURN_S", 0.0)

    async def main() -> None:
        stand = Stand()
        connection = await stand.logged_in()
        connection.data_received(b"NOOP")
        assert not stand.transport.reading
        await until(lambda: stand.transport.reading)
        connection.data_received(b"\r\n")
        await until(lambda: stand.transport.text() == "200 Here.\r\n")
        await stand.close(connection)

    run(main())


def test_a_reader_that_never_comes_back_is_cut_off(run: Run) -> None:
    async def main() -> None:
        stand = Stand(replace(PLAIN, times=replace(PLAIN.times, send_s=0.01)))
        connection = await stand.logged_in()
        connection.pause_writing()
        await until(lambda: stand.transport.aborted)
        await stand.close(connection)

    run(main())


def test_a_closed_connection_is_cut_when_nobody_reads_the_last_words(run: Run) -> None:
    async def main() -> None:
        stand = Stand(replace(PLAIN, times=replace(PLAIN.times, send_s=0.01)))
        connection = await stand.logged_in()
        connection.data_received(b"QUIT\r\n")
        assert stand.transport.closed
        connection.data_received(b"NOOP\r\n")
        connection.resume_writing()
        assert stand.transport.text() == "221 Goodbye.\r\n"
        await until(lambda: stand.transport.aborted)
        await stand.close(connection)

    run(main())


@pytest.mark.parametrize("aside", [False, True])
def test_our_own_mistake_costs_one_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, aside: bool
) -> None:
    async def broken(session: FtpSession, request: Request) -> None:
        await asyncio.sleep(0)
        raise KeyError("what we did not think of")

    async def main() -> None:
        stand = Stand()
        connection = await stand.logged_in()
        gate = asyncio.Event()

        async def slow(session: FtpSession, request: Request) -> None:
            session.reply(150, "Now.")
            await gate.wait()
            session.reply(226, "Done.")

        monkeypatch.setitem(handlers.HANDLERS, "STAT", broken)
        monkeypatch.setitem(handlers.HANDLERS, "STOR", slow)
        if aside:
            connection.data_received(b"STOR x\r\n")
            assert stand.transport.text() == "150 Now.\r\n"
        connection.data_received(b"STAT\r\n")
        await until(lambda: stand.transport.written)
        assert stand.transport.text() == "451 The server made a mistake, which is in its log now.\r\n"
        if aside:
            gate.set()
            await until(lambda: stand.transport.written)
            assert stand.transport.text() == "226 Done.\r\n"
        connection.data_received(b"NOOP\r\n")
        assert stand.transport.text().startswith("200")
        assert "what we did not think of" in caplog.text
        await stand.close(connection)

    run(main())


def test_a_handler_that_answers_twice_is_logged(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def twice(session: FtpSession, request: Request) -> None:
        await asyncio.sleep(0)
        session.reply(200, "Once.")
        session.reply(200, "Twice.")

    async def main() -> None:
        stand = Stand()
        connection = await stand.logged_in()
        monkeypatch.setitem(handlers.HANDLERS, "PWD", twice)
        connection.data_received(b"PWD\r\n")
        await until(lambda: "a command ended with an error of ours" in caplog.text)
        assert stand.transport.text() == "200 Once.\r\n"
        await stand.close(connection)

    run(main())


def test_logins_that_fail_for_our_own_reasons_are_told_apart(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        for error, answer in (
            (HomeUnavailable(), "451 This account's home is not available; tell the administrator.\r\n"),
            (KeyError("ours"), "451 The server made a mistake, which is in its log now.\r\n"),
            (LoginRefused("disabled", 0.0), "530 Login incorrect.\r\n"),
        ):
            stand = Stand()

            def refuse(account: object, record: object, error: Exception = error) -> Any:
                raise error

            stand.open_home = refuse
            connection = stand.connect()
            stand.transport.text()
            connection.data_received(b"USER alice\r\nPASS secret\r\n")
            await until(lambda stand=stand: len(b"".join(stand.transport.written).splitlines()) == 2)  # type: ignore[misc]
            assert stand.transport.text().endswith(answer)
            assert stand.core.sessions.find("alice") == []
            await stand.close(connection)

    run(main())


def test_rein_forgets_who_it_was(run: Run) -> None:
    async def main() -> None:
        stand = Stand()
        connection = await stand.logged_in()
        connection.session.folder = ROOT.child("somewhere")
        connection.data_received(b"EPSV\r\nREIN\r\n")
        await until(lambda: not connection.busy)
        assert "220 Homeport ready" in stand.transport.text()
        assert connection.session.endpoint is None
        connection.data_received(b"PWD\r\n")
        assert stand.transport.text().startswith("530")
        assert [type(event).__name__ for event in stand.events] == ["LoggedIn", "LoggedOut"]
        await stand.close(connection)

    run(main())


def test_a_client_that_goes_while_its_login_is_checked_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        stand = Stand()
        connection = stand.connect()
        connection.data_received(b"USER alice\r\nPASS secret\r\n")
        await stand.close(connection)

    run(main())


def test_who_is_turned_away_hears_why(run: Run) -> None:
    async def main() -> None:
        stand = Stand(limits=SessionLimits(per_address=0))
        connection = stand.connect()
        assert stand.transport.text().startswith("421 Too many sessions for your address (limit 0)")
        assert stand.transport.closed
        await stand.close(connection)

    run(main())


def test_a_busy_session_is_not_idle(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        stand = Stand(replace(PLAIN, times=replace(PLAIN.times, idle_s=0.5)))
        gate = asyncio.Event()

        async def slow(session: FtpSession, request: Request) -> None:
            await gate.wait()
            session.reply(200, "At last.")

        monkeypatch.setitem(handlers.HANDLERS, "PWD", slow)
        connection = await stand.logged_in()
        connection.data_received(b"PWD\r\n")
        await asyncio.sleep(1.2)
        assert stand.transport.text() == ""
        gate.set()
        await until(lambda: stand.transport.closed)
        assert stand.transport.text() == "200 At last.\r\n421 Idle for 0 s.\r\n"
        await stand.close(connection)

    run(main())


def test_too_much_that_waits_is_not_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        stand = Stand()
        gate = asyncio.Event()

        async def slow(session: FtpSession, request: Request) -> None:
            await gate.wait()
            session.reply(200, "At last.")

        monkeypatch.setitem(handlers.HANDLERS, "PWD", slow)
        connection = await stand.logged_in()
        connection.data_received(b"PWD\r\n" + b"NOOP\r\n" * 20_000)
        assert not stand.transport.reading
        gate.set()
        await until(lambda: stand.transport.reading)
        assert stand.transport.text().count("200") == 20_001
        await stand.close(connection)

    run(main())


def test_a_piece_of_a_long_reply_waits_for_its_reader(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        stand = Stand()
        heard: list[bool] = []

        async def long(session: FtpSession, request: Request) -> None:
            session.write(b"257-one\r\n")
            heard.append(await session.drained())
            session.write(b" two\r\n")
            heard.append(await session.drained())
            session.reply(257, "three")

        monkeypatch.setitem(handlers.HANDLERS, "PWD", long)
        connection = await stand.logged_in()
        connection.pause_writing()
        connection.data_received(b"PWD\r\n")
        await asyncio.sleep(0)
        assert (heard, stand.transport.text()) == ([], "257-one\r\n")
        connection.resume_writing()
        await until(lambda: len(heard) == 2)
        assert heard == [True, True]
        assert stand.transport.text() == " two\r\n257 three\r\n"
        connection.pause_writing()
        connection.data_received(b"PWD\r\n")
        await stand.close(connection)
        assert heard[2:] == [False, False]

    run(main())
