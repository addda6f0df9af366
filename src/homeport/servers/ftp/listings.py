"""LIST, NLST, MLSD, MLST and STAT of a path: folders as lines, in blocks, at the reader's pace.

The one rule: constant memory, whatever the folder's size. Blocks are made in a thread when the socket has room for
them, each from a bounded number of names, whether any of them is shown or not. A pattern is matched against the names
of one folder alone, in linear time, before anything is looked at.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from stat import S_ISDIR
from typing import Any, Generic, TypeVar

from homeport.core.entries import Look
from homeport.core.errors import NotADirectory, NotFound
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.protocols.ftp.arguments import Listing
from homeport.protocols.ftp.events import Request
from homeport.protocols.ftp.facts import FactLines
from homeport.protocols.ftp.listing import ListLines
from homeport.servers.ftp.arguments import argument_of, optional_text_of
from homeport.servers.ftp.flows import deflated
from homeport.servers.ftp.pump import SendBlocks
from homeport.servers.ftp.session import FtpSession
from homeport.servers.ftp.transfer import Deed, Transfer

_NAMES_A_BLOCK = 512  # some 40 KiB of lines, some milliseconds of work
_FIRST_NAMES = 64  # a reader who waits sees something soon
_MAGIC = re.compile(r"[*?[]")
T = TypeVar("T")
Found = Iterator[T | None]  # what a listing shows, entry by entry or name by name; None for what it reads and hides
LinesOf = Callable[[Sequence[T]], list[str]]  # many at once: a call for each would cost a tenth of a listing
Encode = Callable[[list[str]], bytes]


async def list_folder(session: FtpSession, request: Request) -> None:
    """LIST. The options that clients send (`-a`, `-la`) change nothing: all names are shown, in the long form."""
    wanted = argument_of(request, Listing)
    view = _View(session.home, session.path(wanted.path))
    await _send(session, view.path, _Blocks(view.looks(), _long_lines(session), session.engine.names.encode_lines))


async def list_names(session: FtpSession, request: Request) -> None:
    """NLST: names that can be used as they are in the next command (RFC 1123 section 4.1.2.7)."""
    wanted = argument_of(request, Listing)
    view = _View(session.home, session.path(wanted.path))
    await _send(session, view.path, _Blocks(_names(view, wanted.path), list, session.engine.names.encode_lines))


async def list_facts(session: FtpSession, request: Request) -> None:
    """MLSD (RFC 3659 section 7)."""
    path = session.path(optional_text_of(request))
    view = _View(session.home, path, folders_only=True)
    await _send(session, path, _Blocks(view.looks(), _fact_lines(session), session.engine.names.encode_lines))


async def show_facts(session: FtpSession, request: Request) -> None:
    """MLST: one line, which names the file by its whole path."""
    path = session.path(optional_text_of(request))
    found = await session.call(session.home.look, path)
    lines = _fact_lines(session)([(str(path), found)])
    session.reply(250, ("Facts:", *lines, "End"))


async def list_here(session: FtpSession, request: Request) -> None:
    """STAT of a path: a listing on the control connection, whose lines are indented and so never look like a reply."""
    path = session.path(argument_of(request, Listing).path)
    view = _View(session.home, path)
    encode = session.engine.names.encode_lines
    blocks = _Blocks(view.looks(), _long_lines(session), lambda lines: encode([f" {line}" for line in lines]))
    try:
        block = await session.call_listing(next, blocks, None)
        session.write(encode([f"213-Status of {path}:"]))
        while block is not None:
            session.write(block)
            if not await session.drained():
                return
            block = await session.call_listing(next, blocks, None)
    finally:
        blocks.close()
    session.reply(213, "End")


async def _send(session: FtpSession, path: VirtualPath, blocks: _Blocks[Any]) -> None:
    session.require_endpoint()
    try:
        first = await session.call_listing(
            next, blocks, b""
        )  # a missing folder is 550, and not an empty listing after 150
        with Transfer(session, Deed.LISTING, str(path)) as transfer:
            connection = await transfer.connect(f"Here comes the listing of {path}.")
            whole = deflated(itertools.chain((first,), blocks), session.settings)
            await transfer.pump(SendBlocks(connection, whole, lambda: None))
    finally:
        blocks.close()
    session.reply(226, f"{blocks.count} entries.")


class _Blocks(Generic[T]):
    """Lines, made and encoded block by block in whatever thread asks for the next one. `count`: lines so far.

    A block is empty when nothing is shown of the names that were read for it.
    """

    def __init__(self, found: Found[T], lines_of: LinesOf[T], encode: Encode) -> None:
        self.count = 0
        self._found = found
        self._lines_of = lines_of
        self._encode = encode
        self._names = _FIRST_NAMES

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        read = list(itertools.islice(self._found, self._names))
        if not read:
            raise StopIteration
        self._names = _NAMES_A_BLOCK
        lines = self._lines_of([one for one in read if one is not None])
        self.count += len(lines)
        return self._encode(lines) if lines else b""

    def close(self) -> None:
        """Close the folder, wherever the reading stands. Nobody may be in `next`."""
        close: Callable[[], None] | None = getattr(self._found, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True, slots=True)
class _View:
    """What a listing of `path` shows: a folder's entries, one file, or the entries that a pattern fits."""

    home: Home
    path: VirtualPath
    folders_only: bool = False

    def looks(self) -> Found[Look]:
        """What is shown; nothing is opened before the first entry is asked for. Blocks."""
        found = self.found()
        if found is None:
            with self.home.looks(self.path.parent, self.pattern()) as chosen:
                yield from chosen
        elif S_ISDIR(found.st_mode):
            with self.home.looks(self.path) as looks:
                yield from looks
        elif self.folders_only:
            raise NotADirectory(str(self.path))
        else:
            yield self.path.name, found

    def found(self) -> os.stat_result | None:
        """What the path names; None when it is a pattern. Blocks. Raises NotFound."""
        try:
            return self.home.look(self.path)
        except NotFound:
            if self.folders_only or not _MAGIC.search(self.path.name):
                raise
            return None

    def pattern(self) -> Callable[[str], object]:
        """Whether a name fits the path's last part."""
        return re.compile(fnmatch.translate(self.path.name)).match


def _names(view: _View, text: str | None) -> Found[str]:
    """Names as NLST with the argument `text` sends them: such as `a/b` for `NLST a` and for `NLST a/*`. Blocks.

    Names alone are read, for they are cheaper than looks at what they stand for.
    """
    found = view.found()
    if found is not None and S_ISDIR(found.st_mode):
        before = "" if text is None else text.rstrip("/") + "/"
        with view.home.names(view.path) as names:
            yield from (before + name for name in names)
        return
    before = "" if text is None else text[: text.rfind("/") + 1]
    if found is not None:
        yield before + view.path.name
        return
    fits = view.pattern()
    with view.home.names(view.path.parent) as names:
        yield from (before + name if fits(name) else None for name in names)


def _long_lines(session: FtpSession) -> LinesOf[Look]:
    return ListLines(session.account.name, time.time()).lines


def _fact_lines(session: FtpSession) -> LinesOf[Look]:
    return FactLines(session.settings.facts, session.account.rights.names()).lines


HANDLERS = {
    "LIST": list_folder,
    "NLST": list_names,
    "MLSD": list_facts,
    "MLST": show_facts,
}
