"""One client's connection: bytes between a socket, TLS and the engine, events to the session, and every deadline.

The one rule: what a client can cause without logging in costs next to nothing, and what it does not read is not made.
Whoever sends thousands of frames at once gets turns of a few milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import cast

from homeport.core.audit_events import LoggedIn, LoggedOut, LoginFailed, Who
from homeport.core.audit_events import Refused as Denied
from homeport.core.errors import HomeportError, LoginRefused
from homeport.core.proof_login import Proved
from homeport.core.sessions import SessionRecord
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import (
    AuthReceived,
    Broken,
    CancelReceived,
    CreditGranted,
    DataReceived,
    EndReceived,
    Event,
    RequestReceived,
)
from homeport.protocols.hptp.faults import FaultCode
from homeport.protocols.hptp.states import Role
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.servers.arrivals import Arrivals
from homeport.servers.hptp.errors import CANCELLED, MISTAKE, MISTAKE_TEXT, Refused, error_object, readable
from homeport.servers.hptp.front import Front
from homeport.servers.hptp.operations import OPERATIONS
from homeport.servers.hptp.proving import Proving
from homeport.servers.hptp.session import HptpSession
from homeport.servers.hptp.wire import Wire, WireState
from homeport.servers.long_line import widen

_log = logging.getLogger(__name__)

PROTOCOL = "hptp"
GOING_AWAY = "going-away"
_SLICE_BYTES = 64 * 1024  # heard at once, beside the rest of a frame of DATA
_TURN_S = 0.002  # what one connection may work before the others have their turn
_BUFFERED_BYTES = 512 * 1024  # in the transport, before nothing more is made
_PING = b"homeport"
_NOTHING = memoryview(b"")
_EVERYDAY = frozenset({"the peer closed the connection"})  # how connections end that nobody need know of


class HptpConnection(asyncio.BufferedProtocol):
    """One client."""

    def __init__(self, front: Front, arrivals: Arrivals[HptpConnection]) -> None:
        self._front = front
        self._arrivals = arrivals
        self._loop = asyncio.get_running_loop()
        self.engine = Connection(Role.SERVER, front.settings.limits)
        self._wire = Wire(front.identity.context, front.rooms)
        self._proving: Proving | None = None
        self._session: HptpSession | None = None
        self._record: SessionRecord | None = None
        self._peer = "unix"
        self._unheard = _NOTHING  # clear bytes that wait for their turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering = False  # a proof's message is under way to its answer
        self._advancing = False
        self._planned = False  # more is to be heard, when others have had their turn
        self._flushing = False  # output is to be sent at the end of the turn
        self._reading = True
        self.full = False
        self._hung_up = False
        self._draining = False
        self._reason: str | None = None
        self._room: list[asyncio.Future[None]] = []
        self._heard_at = 0.0
        self._asked_at: float | None = None  # when a PING went out that was not answered by anything yet
        self._life = front.deadlines.new(self._life_is_over)  # login, then idleness
        self._stall = front.deadlines.new(self._stalled)  # handshake, unread output
        self._watch = front.deadlines.new(self._silent)  # nothing came

    # What asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_BUFFERED_BYTES)
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple):
            widen(transport.get_extra_info("socket"))
            self._peer = str(address[0]).partition("%")[0]
        times = self._front.settings.times
        self._life.set(times.login_s)
        self._stall.set(times.handshake_s)
        self._watch.set(times.ping_s)
        self._heard_at = time.monotonic()
        self._arrivals.came(self)
        try:
            self._record = self._front.core.sessions.open(PROTOCOL, self._peer, self._kick_from_anywhere)
        except HomeportError as error:
            self._hang_up(str(error))  # nobody hears it before a handshake

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        """See asyncio.BufferedProtocol. One buffer for all: it is emptied before the loop does anything else."""
        return self._front.incoming

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        if self._hung_up:
            return
        self._heard_at = time.monotonic()
        shaking_hands = self._wire.state is WireState.HANDSHAKE
        with memoryview(self._front.incoming) as whole, whole[:nbytes] as received:
            clear = self._wire.receive(received)
        self._unheard = memoryview(bytes(self._unheard) + clear) if self._unheard else clear
        if shaking_hands:
            if self._wire.state in (WireState.OPEN, WireState.CLOSED):
                self._stall.clear()
            self._transport.write(self._wire.send(()))
        if self._wire.state is WireState.FAILED:
            self._hang_up(f"TLS failed: {self._wire.failure}")
            return
        self._advance()

    def eof_received(self) -> bool:
        """See asyncio.BaseProtocol."""
        self._wire.receive_eof()
        self._advance()
        return True  # `_hang_up` closes

    def pause_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self.full = True
        self._stall.set(self._front.settings.times.send_s)
        self._read_while_wanted()

    def resume_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self.full = False
        if not self._hung_up:
            self._stall.clear()
        self._release_waiters()
        if self._session is not None and self._session.sender is not None:
            self._session.sender.go_on()
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See asyncio.BaseProtocol."""
        self._hung_up = True
        self.engine.close()
        self._unheard = _NOTHING
        for deadline in (self._life, self._stall, self._watch):
            deadline.discard()
        self._release_waiters()
        self._loop.create_task(self._clean_up())

    # What the server says

    def terminate(self, reason: str, code: str = GOING_AWAY) -> None:
        """Say GOAWAY with `reason` and close; transfers under way are cut, what came is kept."""
        self.engine.go_away(code, readable(reason))
        self._hang_up(reason)

    def drain(self, reason: str) -> None:
        """As `terminate`, but requests under way are answered first."""
        self._draining = True
        self.engine.go_away(GOING_AWAY, reason)
        self.flush()
        self._hang_up_when_idle()

    def abort(self) -> None:
        """Cut the connection now."""
        self._hung_up = True
        self._transport.abort()

    def _kick_from_anywhere(self, reason: str) -> None:
        self._loop.call_soon_threadsafe(self.terminate, reason, "kicked")

    # What the session says

    def flush(self) -> None:
        """See session.Link."""
        self._flushing = False
        if self._wire.state is WireState.HANDSHAKE:
            return  # HELLO waits
        output = self.engine.take_output()
        if output and not self._hung_up and (wired := self._wire.send(output)):
            self._transport.write(wired)

    def flush_soon(self) -> None:
        """See session.Link."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush_planned)

    def _flush_planned(self) -> None:
        if self._flushing:
            self.flush()
        if not self.engine.wants_data or self._unheard:
            self._advance()
        if self._draining:
            self._hang_up_when_idle()

    async def drained(self) -> bool:
        """See session.Link."""
        if self.engine.output_size:
            self.flush()
        if self.full and not self._hung_up:
            room = self._loop.create_future()
            self._room.append(room)
            await room
        return not self._hung_up

    # Inside

    def _advance(self) -> None:
        """Hear what came, until nothing is left, the client has to read first, or the turn is over."""
        if self._advancing or self._planned or self._hung_up:
            return
        self._advancing = True
        try:
            self._take_turn(time.monotonic() + _TURN_S)
        finally:
            self._advancing = False
        self._read_while_wanted()

    def _take_turn(self, ends_at: float) -> None:
        while self._unheard and not self.full and self.engine.wants_data:
            most = max(_SLICE_BYTES, self.engine.data_left)
            heard, self._unheard = self._unheard[:most], self._unheard[most:]
            self.engine.receive(cast(bytes, heard))  # any buffer that does not change
            self._act_on_events()
            if self.engine.output_size:
                self.flush()
            if time.monotonic() >= ends_at and self._unheard:
                self._planned = True
                self._loop.call_soon(self._go_on)
                return
        if not self._unheard and self._wire.state in (WireState.CLOSED, WireState.CUT):
            self.engine.receive_eof()
        self._act_on_events()
        self.flush()

    def _act_on_events(self) -> None:
        while events := self.engine.events():
            for event in events:
                self._act(event)

    def _go_on(self) -> None:
        self._planned = False
        self._advance()

    def _read_while_wanted(self) -> None:
        wanted = not self.full and not self._unheard and self.engine.wants_data
        if wanted == self._reading or self._hung_up:
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _act(self, event: Event) -> None:
        session = self._session
        match event:
            case DataReceived(stream, data) if session is not None:
                session.data(stream, data)
            case RequestReceived(stream, op, arguments) if session is not None:
                self._life.set(self._front.settings.times.idle_s)
                session.request(stream, op, arguments)
            case EndReceived(stream, trailer) if session is not None:
                session.end(stream, trailer)
            case CreditGranted(stream) if session is not None:
                session.credit(stream)
            case CancelReceived(stream, reason) if session is not None:
                overrun = reason == FaultCode.WINDOW_OVERRUN.value
                session.cancel(
                    stream, reason if overrun else CANCELLED, "more came than was granted" if overrun else "cancelled"
                )
            case AuthReceived(message):
                self._prove(message)
            case Broken(code, text):
                cut = code is FaultCode.CONNECTION_CUT and self._wire.state is WireState.CLOSED
                self._hang_up("the peer closed the connection" if cut else text)
            case _:
                pass  # the peer's HELLO, PONG, GOAWAY: the engine has seen to them

    # The login

    def _prove(self, message: JsonObject) -> None:
        if self._answering:
            self.terminate("AUTH before the last one was answered", FaultCode.FRAME_UNEXPECTED.value)
            return
        self._answering = True
        task = self._loop.create_task(self._answer_proof(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_proof(self, message: JsonObject) -> None:
        if self._proving is None:
            self._proving = Proving(self._front, self._front.identity.binding, self._peer)
        proving = self._proving
        try:
            if not proving.begun:
                self.engine.send_auth({"message": await proving.begin(message)})
            else:
                proved, signature = await proving.finish(message)
                await self._enter(proved, signature)
        except LoginRefused as error:
            self._front.core.audit(LoginFailed(self._who, proving.name, error.reason))
            await asyncio.sleep(error.delay_s)
            self._refuse_login(error)
        except (HomeportError, Refused) as error:
            self._front.core.audit(LoginFailed(self._who, proving.name, str(error)))
            self._refuse_login(error)
        except Exception:  # noqa: BLE001 - a mistake in one login must not leave its connection hanging
            _log.exception("a login failed")
            self._refuse_login(Refused(MISTAKE, MISTAKE_TEXT))
        self._answering = False
        self.flush()

    async def _enter(self, proved: Proved, signature: str) -> None:
        core, account = self._front.core, proved.account
        assert self._record is not None
        core.sessions.log_in(self._record, account)
        try:
            home = await core.files.run_for(account.id, core.open_home, account, self._record)
        except BaseException:
            core.sessions.log_out(self._record)
            raise
        core.audit(LoggedIn(Who.of(self._record), self._wire.version))
        self._session = HptpSession(self._front, self, home, self._record, OPERATIONS)
        if self._hung_up:  # it went away meanwhile; `_clean_up` waits for us
            return
        self._life.set(self._front.settings.times.idle_s)
        said: JsonObject = {"name": account.name, "rights": list(account.rights.names())}
        self.engine.send_auth({"message": signature, "account": said})
        self.engine.authenticated()

    def _refuse_login(self, error: HomeportError | Refused) -> None:
        said = error_object(error)
        self.engine.send_auth({"error": {"code": said["code"], "message": said["message"]}})
        self.terminate(str(error), str(said["code"]))

    # Ends

    @property
    def _who(self) -> Who:
        return Who(peer=self._peer, protocol=PROTOCOL) if self._record is None else Who.of(self._record)

    def _hang_up(self, reason: str) -> None:
        """Send what is left and close; cut after a while when the client does not read it."""
        if self._hung_up:
            return
        _log.debug("%s: closing: %s", self._peer, reason)
        self._note_end(reason)
        self.flush()
        self._hung_up = True
        self.engine.close()
        if farewell := self._wire.close():
            self._transport.write(farewell)
        self._stall.set(self._front.settings.times.send_s)
        self._transport.close()

    def _hang_up_when_idle(self) -> None:
        if self._session is None or not self._session.busy:
            self._hang_up("the server is going down")

    def _note_end(self, reason: str) -> None:
        """The log-out says why, or a line of its own where nobody had logged in."""
        self._reason = reason
        if self._session is None and reason not in _EVERYDAY:
            self._front.core.audit(Denied(self._who, "connection", "/", reason))

    def _life_is_over(self) -> None:
        times = self._front.settings.times
        if self._session is None:
            self.terminate("the login took too long")
        elif self._session.busy:
            self._life.set(times.idle_s)
        else:
            self.terminate(f"idle for {times.idle_s:.0f} s")

    def _silent(self) -> None:
        """Nothing came for a while, or something did: ask whether the client is there, or wait on."""
        times = self._front.settings.times
        now = time.monotonic()
        if self._asked_at is not None and self._heard_at < self._asked_at:
            if now - self._asked_at >= times.send_s:
                self._note_end("it did not answer a PING")
                self.abort()
                return
            self._watch.set(self._asked_at + times.send_s - now)
            return
        self._asked_at = None
        quiet_s = now - self._heard_at
        if quiet_s < times.ping_s:
            self._watch.set(times.ping_s - quiet_s)
        elif self._session is None:
            self._watch.set(times.ping_s)  # the deadline of the login is enough
        else:
            self._asked_at = now
            self.engine.ping(_PING)
            self.flush()
            self._watch.set(times.send_s)

    def _stalled(self) -> None:
        if not self._hung_up:
            self._note_end("it neither read what was sent nor ended its handshake")
        self.abort()

    def _release_waiters(self) -> None:
        waiting, self._room = self._room, []
        for room in waiting:
            if not room.done():
                room.set_result(None)

    async def _clean_up(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        record, session = self._record, self._session
        try:
            if session is not None and record is not None:
                await session.close(self._reason or "the connection was lost")
                seconds = time.monotonic() - record.started_at
                self._front.core.audit(LoggedOut(Who.of(record), seconds, self._reason))
                self._front.core.sessions.log_out(record)
                await self._front.core.files.run_for(session.account.id, session.home.close)
        finally:
            if record is not None:
                self._front.core.sessions.close(record)
            self._arrivals.gone(self)
