"""RETR, STOR, STOU, APPE, ALLO: the bytes of files.

The one rule: 226 is said when the file stands whole under its name, or when all of it was handed to the client's TCP;
in every other case the reply says what is kept and how to go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from homeport.core.errors import AlreadyExists, WouldBlock
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.transfer import Download, Stored, Upload
from homeport.protocols.ftp.events import Request
from homeport.protocols.ftp.settings import Expectation
from homeport.servers.ftp.arguments import argument_of, optional_text_of, text_of
from homeport.servers.ftp.data import DataError
from homeport.servers.ftp.errors import DATA_LOST, Refused, reply_to
from homeport.servers.ftp.flows import as_they_are, download_flow, upload_sink
from homeport.servers.ftp.pump import Receive
from homeport.servers.ftp.session import FtpSession
from homeport.servers.ftp.transfer import Deed, Stopped, Transfer

_STOU_STEM = "upload"
_STOU_TRIES = 8


async def allocate(session: FtpSession, request: Request) -> None:
    """ALLO: the room is this session's until its next upload; 552 now is better than after an hour of sending."""
    size = argument_of(request, int)
    await session.call(session.home.reserve, size)
    session.reply(200, f"{size} bytes are reserved for the next upload.")


async def retrieve(session: FtpSession, request: Request) -> None:
    """RETR."""
    engine = session.engine
    path = session.path(text_of(request))
    wanted, offset = (engine.take_range(), engine.take_restart()) if session.settings.pending else (None, 0)
    session.require_endpoint()
    if wanted is not None:
        offset = wanted.first
    begin = session.home.begin_download
    try:
        download = begin(path, offset, may_block=False)
    except WouldBlock:
        download = await session.call(begin, path, offset)
    if wanted is not None:
        download.stop_at(wanted.end)
    try:
        name, size = str(path), download.remaining
        with Transfer(session, Deed.DOWNLOAD, name, size=size) as transfer:
            connection = await transfer.connect(f"Sending {name} ({size} bytes).")
            await transfer.pump(download_flow(connection, download, session.settings))
    except BaseException as error:
        await session.call(download.abort, str(error))
        raise
    session.reply(226, _what_was_sent(download))


def _what_was_sent(download: Download) -> str:
    sent = download.position - download.offset
    whole = sent == download.whole_size
    return f"Sent {sent} bytes, SHA-256 {download.sha256}" if whole and download.sha256 else f"Sent {sent} bytes"


async def store(session: FtpSession, request: Request) -> None:
    """STOR."""
    offset = session.engine.take_restart() or None
    path = session.path(text_of(request))
    await _receive(session, _Plan(path, partial(Home.begin_upload, path=path, offset=offset)))


async def append(session: FtpSession, request: Request) -> None:
    """APPE: to the end of the file, or of what an unfinished upload has left."""
    path = session.path(text_of(request))
    await _receive(session, _Plan(path, partial(Home.begin_upload, path=path, append=True)))


async def store_unique(session: FtpSession, request: Request) -> None:
    """STOU: 150 names the file (RFC 1123 section 4.1.2.9)."""
    path = session.path(optional_text_of(request) or _STOU_STEM)
    await _receive(session, _Plan(path, partial(_begin_unique, path=path), announcement="FILE: {path}"))


def _begin_unique(home: Home, *, path: VirtualPath, expected_size: int | None = None) -> Upload:
    for _ in range(_STOU_TRIES - 1):
        try:
            return home.begin_upload(home.unique_name(path), new=True, expected_size=expected_size)
        except AlreadyExists:
            continue  # somebody took the name just now
    return home.begin_upload(home.unique_name(path), new=True, expected_size=expected_size)


@dataclass(frozen=True, slots=True)
class _Plan:
    """An upload that has not begun: `begin(home, expected_size=...)` begins it."""

    path: VirtualPath
    begin: Callable[..., Upload]
    announcement: str = "Send {path}."


async def _receive(session: FtpSession, plan: _Plan) -> None:
    expected = session.engine.take_expectation()
    session.require_endpoint()
    begin = partial(plan.begin, session.home, expected_size=expected.size if expected else None)
    upload = await session.call_short(begin)
    arrival = _Arrival(upload, expected)
    try:
        await _take_in(session, plan, arrival)
    except BaseException as error:
        await session.call(upload.abort, str(error) or type(error).__name__)
        if isinstance(error, DataError | Stopped):
            raise Refused(*_what_is_kept(error, upload)) from error
        raise
    stored = arrival.stored
    assert stored is not None
    session.reply(226, f"Stored {stored.size} bytes, SHA-256 {stored.sha256}")


async def _take_in(session: FtpSession, plan: _Plan, arrival: _Arrival) -> None:
    name = str(arrival.upload.path)
    with Transfer(session, Deed.UPLOAD, name) as transfer:
        connection = await transfer.connect(plan.announcement.format(path=name))
        arrival.check = transfer.check
        write, finish = upload_sink(arrival.write, arrival.finish, session.settings)
        # A decoder does not take the same bytes twice, as it would have to after a WouldBlock.
        haste = session.front.files.haste if as_they_are(session.settings) else None
        flow = Receive(connection, write, finish, session.front.buffers, haste)
        if transfer.bucket is None:  # else it could be stopped after its end, in the pause for its last bytes
            flow.count = transfer.count
        await transfer.pump(flow)


class _Arrival:
    """The end of the pipe: the core's upload, which is put in place in the thread that saw the end of the data."""

    def __init__(self, upload: Upload, expected: Expectation | None) -> None:
        self.upload = upload
        self.check: Callable[[], None] = lambda: None
        self.stored: Stored | None = None
        self._expected = expected

    def write(self, piece: bytes | memoryview) -> None:
        self.check()
        if piece:
            self.upload.write(piece)

    def finish(self) -> None:
        self.check()  # an interrupted connection ends like one that was closed: it must not become a file
        size, sha256 = (self._expected.size, self._expected.sha256) if self._expected else (None, None)
        self.stored = self.upload.commit(expected_size=size, expected_sha256=sha256)


def _what_is_kept(error: DataError | Stopped, upload: Upload) -> tuple[int, str]:
    code, text = (DATA_LOST, str(error)) if isinstance(error, Stopped) else reply_to(error)
    if upload.size and code == DATA_LOST:
        text += f" {upload.size} bytes are kept: go on with REST {upload.size}."
    return code, text


HANDLERS = {"ALLO": allocate, "RETR": retrieve, "STOR": store, "APPE": append, "STOU": store_unique}
