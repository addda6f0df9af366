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
from homeport.servers.ftp.pump import Flow, Handshake, Meter, Mover, Wants
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


class Transfer:
    """What a session transfers now: `name` is its path. Made by a handler, used in one `with`."""

    __slots__ = (
        "_bucket", "_connection", "_deed", "_ended_well", "_mover", "_name", "_owner", "_session", "_stopped",
        "_threads", "_waits", "meter",
    )  # fmt: skip

    def __init__(self, session: FtpSession, deed: Deed, name: str, *, size: int | None = None) -> None:
        assert session.record is not None
        front = session.front
        self._deed = deed
        self._name = name
        self.meter = Meter(session.record)
        session.record.begin(deed.noun, name, total_bytes=size)
        self._session = session
        account = session.account
        self._owner = account.id
        self._threads = front.core.listings if deed is _LISTING else front.core.files
        self._bucket = None if deed is _LISTING else session.bucket(account, upload=deed is _UPLOAD)
        self._waits: Waits | None = None  # a small download never waits
        self._connection: DataConnection | None = None
        self._mover: Mover | None = None
        self._stopped: str | None = None
        self._ended_well = False

    @property
    def title(self) -> str:
        """Such as `Sending /file`."""
        return f"{self._deed.participle} {self._name}"

    @property
    def is_unbridled(self) -> bool:
        """Whether no rate limit can make it pause."""
        return self._bucket is None

    def __enter__(self) -> Transfer:
        self._session.transfer = self
        if self._session.engine.aborting:  # ABOR came while the file was being opened
            self.stop(ABORTED)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._session.transfer = None
        if self.meter.record is not None:
            self.meter.record.rest()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        front = self._session.front
        if self._ended_well and connection.is_private:
            front.farewells.add(connection, front.settings.times.linger_s)
        elif isinstance(error, HomeportError) and self._stopped is None:
            front.farewells.hold(connection, front.settings.times.linger_s)
        else:
            connection.close()

    def stop(self, reason: str) -> None:
        """End it soon, from the loop; the handler gets Stopped with `reason`."""
        if self._stopped is None:
            self._stopped = reason
        if self._mover is not None:
            self._mover.stopped = True
        if self._waits is not None:
            self._waits.interrupt()
        if self._connection is not None:
            self._connection.interrupt()

    def check(self) -> None:
        """Raise Stopped when it was stopped. In every thread; to be asked before an upload is put in place."""
        if self._stopped is not None:
            raise Stopped(self._stopped)

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
        connection = DataConnection(found, require_close_notify=session.front.settings.require_close_notify)
        self._connection = connection
        if session.settings.protection is _PRIVATE:
            await self._secure(connection)
        return connection

    async def pump(self, flow: Flow) -> None:
        """Run `flow` to its end. Raises what it raises, DataLost when it stalls, Stopped."""
        assert self._connection is not None
        mover = Mover(self._connection, flow, self.meter, self._threads, bucket=self._bucket)
        await self._run(mover, self._session.front.settings.times.data_s)
        self._ended_well = True

    async def _secure(self, connection: DataConnection) -> None:
        front = self._session.front
        if self._session.tls_context is None:
            raise DataRefused("There is no TLS session that the data connection could belong to.", 522)
        connection.start_tls(self._session.tls_context)
        try:
            mover = Mover(connection, Handshake(connection), self.meter, front.files)
            await self._run(mover, front.settings.times.handshake_s)
        except DataLost as error:
            raise DataRefused("The TLS handshake of the data connection did not end in time.") from error
        if front.settings.data_tls_resumption == "require" and not connection.resumed:
            raise DataRefused("The data connection must resume the TLS session of the control connection.", 522)

    async def _run(self, mover: Mover, patience_s: float) -> None:
        self._mover = mover
        pace: _Pace | None = None  # whoever never waits does not creep
        on_loop = True
        self.check()
        while True:
            try:
                wants = mover.step_now() if on_loop else await mover.offload.run_for(self._owner, mover.step)
            except DataError:
                self.check()  # a connection that was interrupted looks lost
                raise
            self.check()
            if wants is _DONE:
                return
            if wants is Wants.THREAD:
                on_loop = False
                continue
            if pace is None:
                least = 0 if mover.bucket else self._session.front.settings.min_rate_bytes_per_s
                pace = _Pace(self.meter, patience_s, least)
            await self._wait(wants, mover.pause_s, patience_s)
            pace.check()
            self.check()

    def _waiting(self) -> Waits:
        if self._waits is None:
            self._waits = Waits(self._session.front.watch)
        return self._waits

    async def _wait(self, wants: Wants, pause_s: float, patience_s: float) -> None:
        assert self._connection is not None
        if wants is Wants.TURN:
            return
        if wants is Wants.PAUSE:
            await self._waiting().pause(pause_s)
            return
        side = Side.READ if wants is Wants.READ else Side.WRITE
        if await self._waiting().ready(self._connection.fd, side, patience_s) is Woken.LATE:
            raise DataLost(f"Not a byte came or went for {patience_s:.0f} s.")


class _Pace:
    """Whether a transfer creeps: fewer bytes than `least_bytes_per_s` over a whole window of `window_s`."""

    def __init__(self, meter: Meter, window_s: float, least_bytes_per_s: int) -> None:
        self._meter = meter
        self._window_s = window_s
        self._least = least_bytes_per_s * window_s
        self._window_from = time.monotonic()
        self._bytes_then = meter.bytes

    def check(self) -> None:
        now = time.monotonic()
        if now - self._window_from < self._window_s:
            return
        if self._meter.bytes - self._bytes_then < self._least:
            raise DataLost(f"Fewer than {self._least:.0f} bytes in {self._window_s:.0f} s are too slow.")
        self._window_from, self._bytes_then = now, self._meter.bytes
