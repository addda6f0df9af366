"""Files on their way to the client: many at once, a piece of each in turn.

The one rule: a piece is read only when there is credit for it and room in the socket's buffer, so that what a client
does not take costs a descriptor at the most; and whoever has no credit holds up nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from homeport.core.errors import HomeportError, WouldBlock
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.transfer import Download
from homeport.protocols.hptp.strict_json import JsonObject, nearest
from homeport.servers.hptp.errors import Refused
from homeport.servers.hptp.front import PIECE_BYTES
from homeport.servers.hptp.requests import Brief, Request
from homeport.servers.hptp.session import HptpSession

SMALL_BYTES = 64 * 1024  # a file that is read where it is opened
_TURN_S = 0.002  # what one connection may send before the others have their turn


class Get(Brief):
    """One file on its way, or waiting to be opened."""

    __slots__ = (
        "_data", "_download", "_head", "_over", "_reading", "_request", "_sending", "_sent", "_session",
        "_starved_at", "queued",
    )  # fmt: skip

    def __init__(self, session: HptpSession, request: Request) -> None:
        self._session = session
        self._sending = sending_of(session)
        self._request = request
        self._head: JsonObject = {}
        self._data: memoryview | None = None  # read and not sent
        self._download: Download | None = None  # what is not read yet
        self._sent = 0
        self._reading = False
        self._over = False
        self._starved_at: float | None = None
        self.queued = False  # for its next piece

    @property
    def over(self) -> bool:
        """Whether it was answered."""
        return self._over

    def start(self) -> None:
        """See Work."""
        if not self._over:
            self._sending.open_soon(self)

    def open(self, home: Home) -> Opened:
        """Open the file, and read all of a small one. In a thread."""
        return open_file(home, self._request)

    def opened(self, outcome: Opened | BaseException) -> None:
        """`open` has ended."""
        if isinstance(outcome, BaseException):
            if not self._over:
                self._finish(outcome)
            return
        if self._over:
            outcome.give_up("the client does not want it")
            return
        self._head, self._data, self._download = outcome.head, outcome.data, outcome.download
        session = self._session
        session.engine.send_head(self._request.stream, self._head)
        session.record.begin("download", str(self._request.arguments["path"]), total_bytes=outcome.size)
        self._sending.queue(self)

    def credit(self) -> None:
        """See Work."""
        if self._starved_at is not None:
            self._starved_at = None
            self._sending.starved.discard(self)
            self._sending.queue(self)

    def stop(self, code: str, reason: str) -> None:
        """See Work."""
        if not self._over:
            self._finish(Refused(code, reason))

    def stalls(self, now: float) -> bool:
        """See Work."""
        return self._starved_at is not None and now - self._starved_at > self._session.front.settings.times.send_s

    def send_piece(self) -> bool:
        """Send one piece; whether it wants to be asked again. The caller flushes before the next call."""
        if self._over or self._reading:
            return False
        session, stream = self._session, self._request.stream
        if not self._data and (self._download is None or not self._download.remaining):
            self._end()
            return False
        credit = session.engine.credit(stream)
        if not credit:
            self._starved_at = time.monotonic()
            self._sending.starved.add(self)
            return False
        piece = self._next_piece(min(credit, PIECE_BYTES))
        if piece is None:
            return False
        session.engine.send_data(stream, piece)
        self._sent += len(piece)
        session.record.moved_bytes += len(piece)
        if not self._data and (self._download is None or not self._download.remaining):
            self._end()
            return False
        return self._may_go_on(len(piece))

    def _next_piece(self, most: int) -> memoryview | None:
        """The next bytes, in a buffer that is free again after a flush; None when they have to be waited for."""
        if self._data:
            piece, self._data = self._data[:most], self._data[most:]
            return piece
        download = self._download
        assert download is not None
        room = memoryview(self._session.front.outgoing)[:most]
        try:
            count = download.read_now(room)
            self._sending.must_flush = True
            return room[:count]
        except WouldBlock:
            self._reading = True
            self._session.spawn(self._read(download, most))
        except HomeportError as error:
            self._finish(error)
        return None

    async def _read(self, download: Download, most: int) -> None:
        room = memoryview(bytearray(min(most, download.remaining)))
        try:
            count = await self._session.call(download.read_into, room)
        except Exception as error:  # noqa: BLE001 - it is this request's answer
            self._reading = False
            self._finish(error)
            return
        self._reading = False
        if self._over:
            download.abort("the client does not want it")
            return
        self._data = room[:count]
        self._sending.queue(self)

    def _may_go_on(self, amount: int) -> bool:
        bucket = self._session.bucket(upload=False)
        delay_s = 0.0 if bucket is None else bucket.delay(time.monotonic(), amount)
        if delay_s <= 0:
            return True
        asyncio.get_running_loop().call_later(delay_s, self._sending.queue, self)
        return False

    def _end(self) -> None:
        try:
            if self._download is not None:
                self._download.finish()
        except HomeportError as error:
            self._finish(error)
            return
        self._over = True
        self._sending.closed(self)
        self._session.answer(self._request.stream, {"size": self._sent, "sha256": self._head["sha256"]})

    def _finish(self, error: BaseException) -> None:
        if self._over:
            return
        self._over = True
        self._data = None
        if self._download is not None and not self._reading:
            self._download.abort(str(error))
        self._sending.closed(self)
        self._session.refuse(self._request.stream, error)


class Opened:
    """A file that is open, or was small and is read."""

    __slots__ = ("data", "download", "head", "size")

    def __init__(self, head: JsonObject, size: int, data: memoryview | None, download: Download | None) -> None:
        self.head = head
        self.size = size
        self.data = data
        self.download = download

    def give_up(self, reason: str) -> None:
        """Nobody wants it any more."""
        if self.download is not None:
            self.download.abort(reason)


def open_file(home: Home, request: Request) -> Opened:
    """Open what `request` asks for, and read all of it when that is little."""
    path: VirtualPath = request.arguments["path"]
    offset: int = request.arguments["offset"]
    length: int | None = request.arguments["length"]
    download = home.begin_download(path, offset)
    try:
        if length is not None:
            download.stop_at(offset + length)
        changed = nearest(download.mtime_ns)
        head: JsonObject = {"size": download.whole_size, "mtime_ns": changed, "sha256": download.sha256}
        size = download.remaining
        if size > SMALL_BYTES:
            return Opened(head, size, None, download)
        data = memoryview(bytearray(size))
        while download.remaining:
            download.read_into(data[size - download.remaining :])
        download.finish()
    except BaseException as error:
        download.abort(str(error))
        raise
    return Opened(head, size, data, None)


class Sending:
    """The files that one session sends. For the event loop's thread."""

    def __init__(self, session: HptpSession) -> None:
        self._session = session
        self._to_open: deque[Get] = deque()
        self._open: set[Get] = set()
        self._ready: deque[Get] = deque()
        self.starved: set[Get] = set()  # without credit for their next piece
        self._planned = False
        self._closed = False
        self.must_flush = False  # the shared buffer is in the engine's output

    def open_soon(self, get: Get) -> None:
        """Open its file when few enough are open."""
        self._to_open.append(get)
        self._open_some()

    def queue(self, get: Get) -> None:
        """It has something to send."""
        if not get.queued and not self._closed:
            get.queued = True
            self._ready.append(get)
            self._plan()

    def closed(self, get: Get) -> None:
        """It has ended."""
        self._open.discard(get)
        self.starved.discard(get)
        self._open_some()

    def credit(self) -> None:
        """See session.Sender."""
        for get in list(self.starved):
            get.credit()

    def close(self) -> None:
        """Send nothing more."""
        self._closed = True
        self._to_open.clear()
        self._ready.clear()

    def go_on(self) -> None:
        """Send until the socket's buffer is full, nothing is ready, or the turn is over."""
        self._planned = False
        link = self._session.link
        ends_at = time.monotonic() + _TURN_S
        while self._ready and not link.full and not self._closed:
            get = self._ready.popleft()
            get.queued = False
            if get.send_piece():
                get.queued = True
                self._ready.append(get)
            if self.must_flush or self._session.engine.output_size >= PIECE_BYTES:
                self.must_flush = False
                link.flush()
            if time.monotonic() >= ends_at:
                break
        link.flush()
        if self._ready and not link.full:
            self._plan()

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self.go_on)

    def _open_some(self) -> None:
        while self._to_open and len(self._open) < self._session.front.settings.max_open_files and not self._closed:
            get = self._to_open.popleft()
            if not get.over:  # cancelled before its turn
                self._open.add(get)
                self._session.batches.add(get.open, get.opened)


def sending_of(session: HptpSession) -> Sending:
    """The session's own, made when it is first needed."""
    if session.sender is None:
        session.sender = Sending(session)
    assert isinstance(session.sender, Sending)
    return session.sender
