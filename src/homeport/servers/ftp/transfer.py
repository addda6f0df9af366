"""One transfer from its 150 to its end: gets the data connection, runs the pump, keeps the deadlines, can be stopped.

The one rule: whatever ends it, the data connection is closed, no thread works on it any more, and the handler learns
what happened as one exception: DataRefused, DataLost, a core error, or Stopped.
"""

from __future__ import annotations

import enum
import time

from homeport.core.errors import HomeportError
from homeport.protocols.ftp.settings import Protection
from homeport.servers.ftp.data import DataConnection, DataError, DataLost, DataRefused
from homeport.servers.ftp.pump import Flow, Handshake, Mover, Wants
from homeport.servers.ftp.session import FtpSession
from homeport.servers.readiness import Side, Waits, Woken

ABORTED = "The transfer was stopped."


class Stopped(Exception):
    """Somebody stopped the transfer; the text says who and why."""


class Deed(enum.Enum):
    """What a transfer does, as STAT says it; the names are those of `homeport who`."""

    UPLOAD = "Receiving", "upload"
    DOWNLOAD = "Sending", "download"
    LISTING = "Listing", "listing"

    def __init__(self, participle: str, noun: str) -> None:
        self.participle = participle
        self.noun = noun


# Reading a member from its class takes its time, and every small file asks.
_LISTING, _UPLOAD = Deed.LISTING, Deed.UPLOAD
_DONE = Wants.DONE
_PRIVATE = Protection.PRIVATE


class Transfer(Mover):
    """What a session transfers now: `name` is its path. Made by a handler, used in one `with`."""

    __slots__ = ("_deed", "_name", "_owner", "_session", "_waits")

    def __init__(self, session: FtpSession, deed: Deed, name: str, *, size: int | None = None) -> None:
        record, account, core = session.record, session.account, session.front.core
        assert record is not None
        if deed is _LISTING:
            super().__init__(core.listings, None, record)
        else:
            super().__init__(core.files, session.bucket(account, upload=deed is _UPLOAD), record)
        record.begin(deed.noun, name, total_bytes=size)
        self._session = session
        self._deed = deed
        self._name = name
        self._owner = account.id
        self._waits: Waits | None = None  # a small download never waits

    @property
    def title(self) -> str:
        """Such as `Sending /file`."""
        return f"{self._deed.participle} {self._name}"

    def __enter__(self) -> Transfer:
        self._session.transfer = self
        if self._session.engine.aborting:  # ABOR came while the file was being opened
            self.stop(ABORTED)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._session.transfer = None
        assert self.record is not None
        self.record.rest()
        connection, self.connection = self.connection, None
        if connection is None:
            return
        front = self._session.front
        if error is None and connection.is_private:
            front.farewells.add(connection, front.settings.times.linger_s)
        elif isinstance(error, HomeportError) and self.stopped is None:
            front.farewells.hold(connection, front.settings.times.linger_s)
        else:
            connection.close()

    def stop(self, reason: str) -> None:
        """End it soon, from the loop; the handler gets Stopped with `reason`."""
        if self.stopped is None:
            self.stopped = reason
        if self._waits is not None:
            self._waits.interrupt()
        if self.connection is not None:
            self.connection.interrupt()

    def check(self) -> None:
        """Raise Stopped when it was stopped. In every thread; to be asked before an upload is put in place."""
        if self.stopped is not None:
            raise Stopped(self.stopped)

    async def connect(self, announcement: str) -> DataConnection:
        """Say 150 and get the data connection, with TLS where PROT P says so. Raises DataRefused, Stopped."""
        session = self._session
        endpoint = session.take_endpoint()
        if endpoint is None:  # handlers ask require_endpoint first, but the session can end while a file is opened
            raise Stopped("The control connection was lost.")
        try:
            self.check()
            session.reply(150, announcement)
            try:
                found = endpoint.at_once() or await endpoint.connect(self._waiting())
            except DataRefused:
                self.check()
                raise
        finally:
            endpoint.close()
        settings = session.front.settings
        self.connection = connection = DataConnection(found, require_close_notify=settings.require_close_notify)
        if session.settings.protection is _PRIVATE:
            await self._secure(connection)
        return connection

    async def _secure(self, connection: DataConnection) -> None:
        settings = self._session.front.settings
        if self._session.tls_context is None:
            raise DataRefused("There is no TLS session that the data connection could belong to.", 522)
        connection.start_tls(self._session.tls_context)
        try:
            await self.pump(Handshake(connection), settings.times.handshake_s)
        except DataLost as error:
            raise DataRefused("The TLS handshake of the data connection did not end in time.") from error
        if settings.data_tls_resumption == "require" and not connection.resumed:
            raise DataRefused("The data connection must resume the TLS session of the control connection.", 522)

    async def pump(self, flow: Flow, patience_s: float | None = None) -> None:
        """Run `flow` to its end; `patience_s`: how long it may stand still, by default as the settings say.

        Raises what it raises, DataLost when it stalls, Stopped.
        """
        self.flow = flow
        pace: _Pace | None = None  # whoever never waits does not creep
        on_loop = True
        self.check()
        while True:
            try:
                wants = self.step_now() if on_loop else await self.offload.run_for(self._owner, self.step)
            except DataError:
                self.check()  # a connection that was interrupted looks lost
                raise
            self.check()
            if wants is _DONE:
                return
            if wants is Wants.THREAD:
                on_loop = False
                continue
            pace = pace or self._pace(patience_s)
            await self._wait(wants, pace.window_s)
            pace.check()
            self.check()

    def _pace(self, patience_s: float | None) -> _Pace:
        settings = self._session.front.settings
        if patience_s is None:  # and a rate limit of ours is no fault of the client's
            return _Pace(self, settings.times.data_s, 0 if self.bucket else settings.min_rate_bytes_per_s)
        return _Pace(self, patience_s, settings.min_rate_bytes_per_s)

    def _waiting(self) -> Waits:
        if self._waits is None:
            self._waits = Waits(self._session.front.watch)
        return self._waits

    async def _wait(self, wants: Wants, patience_s: float) -> None:
        if wants is Wants.TURN:
            return
        if wants is Wants.PAUSE:
            await self._waiting().pause(self.pause_s)
            return
        side = Side.READ if wants is Wants.READ else Side.WRITE
        assert self.connection is not None
        if await self._waiting().ready(self.connection.fd, side, patience_s) is Woken.LATE:
            raise DataLost(f"Not a byte came or went for {patience_s:.0f} s.")


class _Pace:
    """Whether a transfer creeps: fewer bytes than `least_bytes_per_s` over a whole window of `window_s`."""

    def __init__(self, mover: Mover, window_s: float, least_bytes_per_s: int) -> None:
        self.window_s = window_s
        self._mover = mover
        self._least = least_bytes_per_s * window_s
        self._window_from = time.monotonic()
        self._bytes_then = mover.moved

    def check(self) -> None:
        now = time.monotonic()
        if now - self._window_from < self.window_s:
            return
        if self._mover.moved - self._bytes_then < self._least:
            raise DataLost(f"Fewer than {self._least:.0f} bytes in {self.window_s:.0f} s are too slow.")
        self._window_from, self._bytes_then = now, self._mover.moved
