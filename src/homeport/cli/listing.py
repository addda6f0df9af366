"""How entries are drawn: in columns, in lines, as JSON.

One rule: names are text of the server's and are shown escaped.
"""

from __future__ import annotations

import shutil
import stat as stat_bits
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from homeport.cli.terminal import cells_of, printable, put
from homeport.client.errors import ProtocolViolation
from homeport.client.remote import Kind
from homeport.client.speed import size_text

if TYPE_CHECKING:
    from homeport.client.remote import Remote, RemoteEntry

MAX_ENTRIES = 1_000_000
_GAP = 2
_SUFFIX = {Kind.DIRECTORY: "/", Kind.LINK: "@"}
_LETTER = {Kind.DIRECTORY: "d", Kind.LINK: "l", Kind.FILE: "-", Kind.OTHER: "?"}


def bounded(remote: Remote, folder: str) -> Iterator[RemoteEntry]:
    """The entries of a folder. Raises ProtocolViolation for a listing that does not end."""
    for count, entry in enumerate(remote.list(folder)):
        if count >= MAX_ENTRIES:
            raise ProtocolViolation(f"the server lists more than {MAX_ENTRIES} names in {folder}")
        yield entry


def in_order(entries: Iterable[RemoteEntry]) -> list[RemoteEntry]:
    """Folders first, then by name without regard to case."""
    return sorted(entries, key=lambda entry: (not entry.is_directory, entry.name.casefold(), entry.name))


def as_object(folder: str, entry: RemoteEntry) -> dict[str, object]:
    """An entry for `--json`; `mtime` in seconds since the epoch, null where the server does not tell."""
    path = f"{folder.rstrip('/')}/{entry.name}"
    facts = {"kind": entry.kind.value, "size": entry.size, "mtime": entry.mtime, "mode": _octal(entry.mode)}
    return {"event": "entry", "path": path, "name": entry.name, **facts}


def put_short(entries: Sequence[RemoteEntry]) -> None:
    """Names in columns on a terminal, one a line elsewhere."""
    names = [printable(entry.name) + _SUFFIX.get(entry.kind, "") for entry in entries]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in columns(names, width):
        put(line)


def put_long(entries: Sequence[RemoteEntry], *, exact: bool) -> None:
    """A line an entry: mode, size, time, name. `exact` gives sizes in bytes."""
    sizes = [_size(entry, exact=exact) for entry in entries]
    width = max(map(len, sizes), default=0)
    for entry, size in zip(entries, sizes, strict=True):
        name = printable(entry.name) + _SUFFIX.get(entry.kind, "")
        put(f"{mode_text(entry)}  {size:>{width}}  {time_text(entry.mtime):16}  {name}")


def columns(names: Sequence[str], width: int) -> Iterator[str]:
    """`names` down and then across, in as many columns as go into `width` cells."""
    cells = [cells_of(name) for name in names]
    rows = len(names)
    widths: list[int] = [max(cells, default=0)]
    for candidate in _row_counts(len(names), width):
        tried = [max(cells[at : at + candidate]) for at in range(0, len(names), candidate)]
        if sum(tried) + _GAP * (len(tried) - 1) <= width:
            rows, widths = candidate, tried
            break
    for row in range(rows):
        line = ((names[at], cells[at], widths[at // rows]) for at in range(row, len(names), rows))
        yield "".join(name + " " * (wide - own + _GAP) for name, own, wide in line).rstrip()


def _row_counts(names: int, width: int) -> Iterator[int]:
    """Numbers of rows worth trying: one for each number of columns, most columns first."""
    most = min(names, max(1, (width + _GAP) // (1 + _GAP)), 40)
    seen = 0
    for count in range(most, 0, -1):
        rows = -(-names // count)
        if rows != seen:
            seen = rows
            yield rows


def mode_text(entry: RemoteEntry) -> str:
    """Such as `drwxr-x---`; dashes where the server does not tell."""
    if entry.mode is None:
        return _LETTER[entry.kind] + "-" * 9
    return _LETTER[entry.kind] + stat_bits.filemode(entry.mode)[1:]


def time_text(mtime: float | None) -> str:
    """Local time to the minute."""
    if mtime is None:
        return "-"
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(mtime))
    except (OverflowError, ValueError, OSError):
        return "-"


def _size(entry: RemoteEntry, *, exact: bool) -> str:
    if entry.size is None or entry.is_directory:  # what a file system spends on a folder interests nobody
        return "-"
    return str(entry.size) if exact else size_text(entry.size)


def _octal(mode: int | None) -> str | None:
    return None if mode is None else f"{mode & 0o7777:04o}"
