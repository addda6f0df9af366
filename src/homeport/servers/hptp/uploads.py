"""put: the client's bytes into a file, as they come, or all at once where they are few.

The one rule: RESULT is said when the file stands whole under its name; in every other case ERROR says why, and what
came is kept to be continued wherever it may be worth it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from homeport.core.errors import DigestMismatch, NotFound, SizeMismatch
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.rights import Rights
from homeport.core.transfer import Stored, Upload
from homeport.protocols.hptp.names import to_wire
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.servers.hptp.arguments import TRAILER, Arguments, read_arguments
from homeport.servers.hptp.deeds import make_parents, stored_object
from homeport.servers.hptp.errors import MALFORMED, TOO_MANY, Refused
from homeport.servers.hptp.requests import Brief, Request, Work
from homeport.servers.hptp.session import HptpSession

SMALL_BYTES = 128 * 1024  # a file that is stored at once, when all of it is here
_COPIED_BYTES = 32 * 1024  # smaller pieces do not keep the large buffer that they came in


def begin_put(session: HptpSession, request: Request) -> Work:
    """The kind of upload that `request` asks for. Raises Refused."""
    arguments = request.arguments
    if arguments["append"] and (arguments["offset"] or arguments["resume"]):
        raise Refused(MALFORMED, "append excludes offset and resume")
    special = any(arguments[name] for name in ("offset", "resume", "append", "unique"))
    size = arguments["size"]
    if size is not None and size <= SMALL_BYTES and not special:
        return SmallPut(session, request)
    return LargePut(session, request)


def _expected(arguments: Arguments, trailer: JsonObject) -> tuple[int | None, str | None]:
    """Size and digest that the file must have. Raises SizeMismatch, DigestMismatch where the client contradicts itself,
    Refused.
    """
    said = read_arguments(TRAILER, trailer)
    path, size, digest = str(arguments["path"]), arguments["size"], arguments["sha256"]
    if size is not None and said["size"] is not None and size != said["size"]:
        raise SizeMismatch(path, size, said["size"])
    if digest is not None and said["sha256"] is not None and digest != said["sha256"]:
        raise DigestMismatch(path, digest, said["sha256"])
    return (said["size"] if size is None else size), (said["sha256"] if digest is None else digest)


def _begin(home: Home, arguments: Arguments, *, offset: int | None, size: int | None) -> Upload:
    """Begin the upload, making the folders above it if that is asked for."""
    path: VirtualPath = arguments["path"]
    new: bool = arguments["new"]
    if arguments["unique"]:
        path, new = home.unique_name(path), True
    begin: Callable[[], Upload] = lambda: home.begin_upload(  # noqa: E731 - done once, or twice
        path, offset=offset, append=arguments["append"], new=new, expected_size=size, knows_stage=arguments["resume"]
    )
    try:
        upload = begin()
    except NotFound:
        if not arguments["parents"]:
            raise
        make_parents(home, path.parent)
        upload = begin()
    if home.account.rights.allows(Rights.CHANGE):  # the file is new, but its time is not: as set_times
        upload.modified_ns = arguments["mtime_ns"]
    return upload


class SmallPut(Brief):
    """A few bytes, held until all are here, and then stored with those of other requests."""

    __slots__ = ("_ended", "_heard_at", "_held", "_over", "_pieces", "_request", "_session", "_started", "_trailer")

    def __init__(self, session: HptpSession, request: Request) -> None:
        self._session = session
        self._request = request
        self._pieces: list[bytes] = []
        self._held = 0
        self._trailer: JsonObject = {}
        self._ended = False
        self._started = False
        self._over = False
        self._heard_at = time.monotonic()

    def start(self) -> None:
        """See Work."""
        self._started = True
        self._store_when_ready()

    def data(self, piece: memoryview) -> None:
        """See Work."""
        amount = len(piece)
        if self._over:
            self._session.consumed(self._request.stream, amount)
            return
        self._pieces.append(bytes(piece))
        self._held += amount
        self._heard_at = time.monotonic()
        size = self._request.arguments["size"]
        if self._held > size:
            self._finish(SizeMismatch(str(self._request.arguments["path"]), size, self._held))
            return
        self._session.hold(self._request.stream, self)

    def end(self, trailer: JsonObject) -> None:
        """See Work."""
        if not self._over:
            self._trailer = trailer
            self._ended = True
            self._session.hold_no_more(self._request.stream)
            self._store_when_ready()

    def stop(self, code: str, reason: str) -> None:
        """See Work. What is being stored already is answered as it ends."""
        if not (self._over or (self._ended and self._started)):
            self._finish(Refused(code, reason))

    def stalls(self, now: float) -> bool:
        """See Work."""
        return not self._ended and now - self._heard_at > self._session.front.settings.times.data_s

    def store(self, home: Home) -> Upload:
        """Everything but making it last. In a thread."""
        arguments = self._request.arguments
        size, digest = _expected(arguments, self._trailer)
        upload = _begin(home, arguments, offset=None, size=None)
        try:
            if self._pieces:
                upload.write(self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces))
            upload.seal(expected_size=size, expected_sha256=digest)
        except BaseException as error:
            upload.abort(str(error))
            raise
        return upload

    def stored(self, outcome: Stored | BaseException) -> None:
        """It stands under its name, or does not."""
        self._session.goes_on_no_more()
        if isinstance(outcome, Stored):
            self._session.record.moved_bytes += self._held
            self._give_back()
            self._session.answer(self._request.stream, stored_object(outcome))
        else:
            self._finish(outcome)

    def _store_when_ready(self) -> None:
        if self._started and self._ended and not self._over:
            self._session.goes_on()
            self._session.batches.add(self.store, self.stored)

    def _finish(self, error: BaseException) -> None:
        self._give_back()
        self._session.refuse(self._request.stream, error)

    def _give_back(self) -> None:
        self._over = True
        self._session.hold_no_more(self._request.stream)
        self._pieces.clear()
        held, self._held = self._held, 0
        if held:
            self._session.consumed(self._request.stream, held)


class LargePut(Brief):
    """Bytes that are stored as they come."""

    def __init__(self, session: HptpSession, request: Request) -> None:
        self._session = session
        self._request = request
        self._pieces: list[memoryview] = []
        self._trailer: JsonObject | None = None
        self._stopped: Refused | None = None
        self._begun = False  # its bytes are being stored: what waits goes on
        self._news = asyncio.Event()
        self._heard_at = time.monotonic()
        self._started = False

    def start(self) -> None:
        """See Work."""
        self._started = True
        if self._stopped is None:
            self._session.run(self._request.stream, self._run())

    def data(self, piece: memoryview) -> None:
        """See Work."""
        if self._stopped is not None:
            self._session.consumed(self._request.stream, len(piece))
            return
        self._pieces.append(piece if len(piece) >= _COPIED_BYTES else memoryview(bytes(piece)))
        self._heard_at = time.monotonic()
        self._news.set()
        if not self._begun:
            self._session.hold(self._request.stream, self)

    def end(self, trailer: JsonObject) -> None:
        """See Work."""
        self._trailer = trailer
        self._news.set()

    def stop(self, code: str, reason: str) -> None:
        """See Work."""
        if self._stopped is None:
            self._stopped = Refused(code, reason)
            self._news.set()  # what came is still stored, to be continued
            if code == TOO_MANY:  # except where others need its room before its turn to be opened
                self._give_back()
            if not self._started:
                self._give_back()
                self._session.refuse(self._request.stream, self._stopped)

    def stalls(self, now: float) -> bool:
        """See Work."""
        waits = self._trailer is None and not self._pieces
        return waits and now - self._heard_at > self._session.front.settings.times.data_s

    async def _run(self) -> JsonObject:
        session = self._session
        await session.open_files.acquire()
        session.goes_on()
        try:
            if not self._pieces:
                self._check()
            return await self._receive()
        finally:
            self._stopped = self._stopped or Refused(MALFORMED, "the request has been answered")
            self._give_back()
            session.open_files.release()  # first, so that whoever has its place goes on before anybody counts
            session.goes_on_no_more()

    async def _receive(self) -> JsonObject:
        session, arguments = self._session, self._request.arguments
        upload = await session.call(self._open, session.home)
        try:
            self._begun = True
            session.hold_no_more(self._request.stream)
            session.record.begin("upload", str(upload.path), total_bytes=arguments["size"])
            if arguments["resume"] and not arguments["offset"]:
                prefix = await session.call(upload.sha256_so_far) if upload.offset else None
                session.engine.send_head(self._request.stream, {"offset": upload.offset, "prefix_sha256": prefix})
                session.link.flush_soon()
            await self._take_in(upload)
            size, digest = _expected(arguments, self._trailer or {})
            stored = await session.call(upload.commit, expected_size=size, expected_sha256=digest)
        except BaseException as error:
            await session.call(upload.abort, str(error) or type(error).__name__)
            raise
        unique: JsonObject = {"path": to_wire(str(upload.path))} if arguments["unique"] else {}
        return {**stored_object(stored), **unique}

    def _open(self, home: Home) -> Upload:
        arguments = self._request.arguments
        offset = arguments["offset"] or None
        if arguments["resume"] and not offset:
            offset = home.partial_size(arguments["path"]) or None
        return _begin(home, arguments, offset=offset, size=arguments["size"])

    async def _take_in(self, upload: Upload) -> None:
        """Everything up to the client's END."""
        session = self._session
        while True:
            pieces, self._pieces = self._pieces, []
            if not pieces:
                self._check()
                if self._trailer is not None:
                    return
                self._news.clear()
                with self._waiting():
                    await self._news.wait()
                continue
            amount = sum(len(piece) for piece in pieces)
            try:
                await session.call(_write, upload, pieces)
            finally:
                session.consumed(self._request.stream, amount)
            session.record.moved_bytes += amount
            bucket = session.bucket(upload=True)
            if bucket is not None and (delay_s := bucket.delay(time.monotonic(), amount)) > 0:
                await asyncio.sleep(delay_s)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """For the client's bytes."""
        self._session.goes_on_no_more()
        try:
            yield
        finally:
            self._session.goes_on()

    def _check(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    def _give_back(self) -> None:
        """Let go of what came and is not wanted any more."""
        self._session.hold_no_more(self._request.stream)
        pieces, self._pieces = self._pieces, []
        if pieces:
            self._session.consumed(self._request.stream, sum(len(piece) for piece in pieces))


def _write(upload: Upload, pieces: Sequence[memoryview]) -> None:
    for piece in pieces:
        upload.write(piece)
