"""One control connection: bytes between a socket, TLS and the engine, events to handlers, and every deadline.

The one rule: commands that need nothing from outside are answered inside `data_received` with one write for all of
them; a task exists only while a handler waits. Memory is bounded: who does not read his replies is not read from, and
is cut off by deadline. Time is too: who sends thousands of commands at once gets turns of a few milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, cast

from homeport.core.audit_events import LoggedIn, LoggedOut, LoginFailed, Who
from homeport.core.errors import HomeportError, LoginRefused
from homeport.core.home import Home
from homeport.protocols.ftp.engine import FtpEngine
from homeport.protocols.ftp.events import Abort, Close, Event, Login, Quit, Reinitialize, Request, StartTls
from homeport.protocols.ftp.state import Phase
from homeport.servers import eager
from homeport.servers.arrivals import Arrivals
from homeport.servers.ftp.addresses import peer_ip
from homeport.servers.ftp.data import DataError
from homeport.servers.ftp.errors import DATA_LOST, Refused, reply_to, sentence
from homeport.servers.ftp.front import Front
from homeport.servers.ftp.handlers import HANDLERS
from homeport.servers.ftp.session import FtpSession
from homeport.servers.ftp.transfer import ABORTED, Stopped
from homeport.servers.tls import TlsPump, TlsState, ready_for_data

_log = logging.getLogger(__name__)
_ALPN = ("ftp",)
_LOGGED_IN = Phase.LOGGED_IN
_TURN_S = 0.002  # what one connection may work before the others have their turn
_EVERYDAY = frozenset({"QUIT", "the peer closed the connection"})  # how connections end that nobody need know of


class ControlConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, front: Front, arrivals: Arrivals[ControlConnection], *, implicit_tls: bool) -> None:
        self._front = front
        self._arrivals = arrivals
        self._implicit_tls = implicit_tls
        self._loop = asyncio.get_running_loop()
        self._tls: TlsPump | None = None
        self._tasks: set[asyncio.Future[None]] = set()
        self._advancing = False
        self._gave_way = False  # more is to be done, when others have had their turn
        self._said_all = False  # nothing follows from the client
        self._full = False  # the client reads too slowly
        self._reading = True
        self._hung_up = False
        self._lost = False
        self._draining = False
        self._failed_logins = 0
        self._reason: str | None = None  # why it ended
        self._room: asyncio.Future[None] | None = None
        self._life = front.deadlines.new(self._life_is_over)  # login, then idleness
        self._stall = front.deadlines.new(self._stalled)  # TLS handshake, unread replies

    # What asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        local, peer = (peer_ip(transport.get_extra_info(name)) for name in ("sockname", "peername"))
        settings = self._front.settings
        ipv6 = local is not None and local.version == 6
        peer_name = "unix" if peer is None else str(peer)
        self._engine = FtpEngine(settings.policy_for(peer_name), tls=self._implicit_tls, ipv6=ipv6)
        self.session = FtpSession(self._front, self._engine, self, local, peer)
        self._life.set(settings.times.login_s)
        self._arrivals.came(self)
        try:
            protocol = "ftps" if self._implicit_tls else "ftp"
            self.session.record = self._front.core.sessions.open(protocol, peer_name, self._kick_from_anywhere)
        except HomeportError as error:
            self._turn_away(reply_to(error)[1])
            return
        if self._implicit_tls:
            self._start_tls()
        else:
            self._engine.greet(settings.greeting)
            self._advance()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._hung_up:
            return
        ends_at = time.monotonic() + _TURN_S
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
        if data:
            engine = self._engine
            if b"\n" in data and engine.session.phase is _LOGGED_IN:  # a byte now and then is no command
                self._life.set(self.session.idle_s)
            engine.receive(data, self._loop.time())
        self._advance(ends_at)
        if time.monotonic() >= ends_at:  # or the loop would give us the next piece at once, and the next
            self._give_way()

    def eof_received(self) -> bool:
        """See asyncio.Protocol. What was asked before is still answered."""
        if self._tls is not None:
            self._tls.receive_eof()
        self._said_all = True
        self._advance()
        return True  # `_hang_up` closes when the answers are sent

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._full = True
        self._stall.set(self._front.settings.times.send_s)
        self._read_while_wanted()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._full = False
        if not self._hung_up:
            self._stall.clear()
        self._release_waiter()
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See asyncio.Protocol."""
        self._lost = self._hung_up = True
        self._life.discard()
        self._stall.discard()
        self._engine.receive_eof()
        self.session.drop_endpoint()
        if self.session.transfer is not None:
            self.session.transfer.stop("The control connection was lost.")
        self._release_waiter()
        self._loop.create_task(self._clean_up())

    # What the server says

    @property
    def busy(self) -> bool:
        """Whether a command is under way."""
        return bool(self._tasks)

    def terminate(self, reason: str) -> None:
        """Say 421 with `reason` and close; a transfer under way is cut, what came is kept."""
        if self.session.transfer is not None:
            self.session.transfer.stop(reason)
        self._engine.terminate(reason)
        self._advance()

    def drain(self, reason: str) -> None:
        """As `terminate`, but a command under way ends first."""
        self._draining = True
        if not self.busy:
            self.terminate(reason)

    def abort(self) -> None:
        """Cut the connection now."""
        self._hung_up = True
        self._transport.abort()

    def _kick_from_anywhere(self, reason: str) -> None:
        self._loop.call_soon_threadsafe(self.terminate, sentence(reason))

    # What the session says

    def flush(self) -> None:
        """See session.Wire. What a reply sets free, such as the next command, has its turn after the handler."""
        if not self._advancing and self._write_output() and self._engine.has_news:
            self._loop.call_soon(self._advance)

    def write(self, data: bytes) -> None:
        """See session.Wire."""
        self._write_output()
        self._send(data)

    async def drained(self) -> bool:
        """See session.Wire."""
        if self._full and not self._lost:
            self._room = self._loop.create_future()
            await self._room
        return not self._hung_up

    # Inside

    def _advance(self, ends_at: float | None = None) -> None:
        """Act on what the engine has to say until it has nothing more, or the client has to read first, or the turn
        is over (at `ends_at`): it goes on then when other connections have had theirs.
        """
        if self._advancing:
            return
        if not self._gave_way:
            self._advancing = True
            try:
                self._take_turn(ends_at or time.monotonic() + _TURN_S)
            finally:
                self._advancing = False
        if self._full or self._gave_way or self._engine.wants_data != self._reading:
            self._read_while_wanted()

    def _take_turn(self, ends_at: float) -> None:
        engine = self._engine
        while True:
            while events := engine.events():
                for event in events:
                    if type(event) is Request:
                        self._run(self._handle(event))
                    else:
                        self._act(event)
            if self._write_output():
                if not (engine.has_news or self._said_all):
                    return
                if time.monotonic() >= ends_at:  # the loop's own clock may stand still within a round
                    self._give_way()
                    return
            elif self._said_all and not engine.closed:
                engine.receive_eof()
            else:
                return

    def _give_way(self) -> None:
        if not self._gave_way and not self._hung_up:
            self._gave_way = True
            self._loop.call_soon(self._go_on)
            self._read_while_wanted()

    def _go_on(self) -> None:
        self._gave_way = False
        self._advance()

    def _write_output(self) -> bool:
        """Send what the engine has; False when there was nothing, or no room for it now."""
        if self._full or self._hung_up or not (output := self._engine.take_output()):
            return False
        if self._tls is None and not self._lost:
            self._transport.write(output)
        else:
            self._send(output)
        return True

    def _send(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.send(data)
            data = self._tls.take_output()
        if data and not self._lost:
            self._transport.write(data)

    def _read_while_wanted(self) -> None:
        wanted = not self._full and not self._gave_way and self._engine.wants_data
        if wanted == self._reading or self._hung_up:
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _act(self, event: Event) -> None:
        match event:
            case Login():
                self._run(self._log_in(event))
            case StartTls():
                self._restart_with_tls()
            case Abort():
                if self.session.transfer is not None:
                    self.session.transfer.stop(ABORTED)
            case Reinitialize():
                self._run(self._reinitialize())
            case Quit():
                self._hang_up("QUIT")
            case Close(reason):
                self._hang_up(reason)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = eager.start(coroutine, self._loop)
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a command ended with an error of ours", exc_info=error)
        if self._draining and not self.busy:
            self.terminate("The server is going down.")
        if self._engine.logged_in and not self._hung_up:
            self._life.set(self.session.idle_s)
        self._advance()

    async def _handle(self, request: Request) -> None:
        answer = self.session.reply_aside if request.aside else self.session.reply
        try:
            await HANDLERS[request.command.name](self.session, request)
        except (Refused, HomeportError, DataError) as error:
            answer(*reply_to(error))
        except Stopped as error:
            answer(DATA_LOST, str(error))
        except Exception:  # noqa: BLE001 - one command's mistake must not take the session along
            _log.exception("%s failed", request.command.name)
            answer(451, "The server made a mistake, which is in its log now.")
        finally:
            if request.command.data and self.session.endpoint is not None:
                self.session.drop_endpoint()  # whatever went wrong, the next transfer needs a new one

    async def _log_in(self, login: Login) -> None:
        await self._leave()
        try:
            await self._enter(login)
        except LoginRefused as error:
            self._failed_logins += 1
            self._front.core.audit(LoginFailed(self.session.who, login.user, error.reason))
            await asyncio.sleep(error.delay_s)
            if self._failed_logins >= self._front.settings.max_login_attempts:
                self._engine.login_refused(421, "Too many failed logins on one connection.")
            else:
                self._engine.login_refused(530, "Login incorrect.")
        except HomeportError as error:
            code, text = reply_to(error)
            self._front.core.audit(LoginFailed(self.session.who, login.user, str(error)))
            self._engine.login_refused(code, text)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a login failed")
            self._engine.login_refused(451, "The server made a mistake, which is in its log now.")

    async def _enter(self, login: Login) -> None:
        core, session = self._front.core, self.session
        assert session.record is not None
        account = await core.logins.run(core.login.authenticate, login.user, login.password, session.peer_name)
        core.sessions.log_in(session.record, account)
        try:
            home = await session.call(core.open_home, account, session.record)
        except BaseException:
            core.sessions.log_out(session.record)
            raise
        session.enter(home)
        core.audit(LoggedIn(Who.of(session.record), self._tls.version if self._tls else None))
        self._life.set(session.idle_s)
        self._engine.login_accepted(f"Welcome, {account.name}.", charset=account.charset)

    async def _leave(self) -> None:
        home = self.session.leave()
        if home is not None:
            self._say_logged_out()
            assert self.session.record is not None
            self._front.core.sessions.log_out(self.session.record)
            await self.session.call(home.close)

    def _say_logged_out(self) -> None:
        record = self.session.record
        assert record is not None
        seconds = time.monotonic() - record.started_at
        self._front.core.audit(LoggedOut(Who.of(record), seconds, self._reason))

    async def _reinitialize(self) -> None:
        await self._leave()
        self._life.set(self._front.settings.times.login_s)
        self.session.reply(220, self._front.settings.greeting)

    # TLS

    def _restart_with_tls(self) -> None:
        self._write_output()  # 234, in the clear
        self._run(self._leave())
        self._life.set(self._front.settings.times.login_s)
        self._start_tls()

    def _start_tls(self) -> None:
        assert self._front.certificates is not None, "the policy offers no TLS without a certificate"
        self.session.tls_context = self._front.certificates.context(_ALPN)
        self._tls = TlsPump(self.session.tls_context)
        self._stall.set(self._front.settings.times.handshake_s)

    def _decrypt(self, tls: TlsPump, data: bytes) -> bytes:
        shaking_hands = tls.state is TlsState.HANDSHAKE
        clear = tls.receive(data)
        if (answer := tls.take_output()) and not self._lost:
            self._transport.write(answer)
        if shaking_hands and tls.state in (TlsState.OPEN, TlsState.CLOSED):
            self._tls_is_open()
        if tls.state is TlsState.FAILED:
            self._hang_up(f"TLS failed: {tls.failure}")
        elif tls.state is TlsState.CLOSED:
            self._said_all = True
        return clear

    def _tls_is_open(self) -> None:
        self._stall.clear()
        assert self.session.tls_context is not None
        ready_for_data(self.session.tls_context)
        if self._implicit_tls:
            self._engine.greet(self._front.settings.greeting)
        else:
            self._engine.tls_started()

    # Ends

    def _turn_away(self, reason: str) -> None:
        if not self._implicit_tls:  # nobody hears it before a handshake
            self._engine.terminate(reason)
        self._write_output()
        self._hang_up(reason)

    def _hang_up(self, reason: str) -> None:
        """Send what is left and close; cut after a while when the client does not read it."""
        if self._hung_up:
            return
        _log.debug("%s: closing: %s", self.session.peer_name, reason)
        self._note_end(reason)
        self._full = False
        self._write_output()
        self._hung_up = True
        if self._tls is not None:
            self._tls.close()
            self._send(b"")
        self._stall.set(self._front.settings.times.send_s)
        self._transport.close()

    def _note_end(self, reason: str) -> None:
        """The log-out says why, or a line of its own where nobody had logged in."""
        self._reason = reason
        if not self.session.is_logged_in and reason not in _EVERYDAY:
            self.session.audit_refusal("connection", reason)

    def _life_is_over(self) -> None:
        if not self._engine.logged_in:
            self.terminate("The login took too long.")
        elif self.busy:
            self._life.set(self.session.idle_s)
        else:
            self.terminate(f"Idle for {self.session.idle_s:.0f} s.")

    def _stalled(self) -> None:
        if not self._hung_up:
            self._note_end("it neither read its replies nor ended its handshake")
        self.abort()

    def _release_waiter(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    async def _clean_up(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        home: Home | None = self.session.leave()
        record = self.session.record
        try:
            if home is not None:
                self._say_logged_out()
                await self.session.call(home.close)
        finally:
            if record is not None:
                self._front.core.sessions.close(record)
            self._arrivals.gone(self)
