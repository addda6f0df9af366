"""Facts of MLST and MLSD: `type=file;size=5;...; name` (RFC 3659 section 7).

The one rule: a folder of 50,000 entries costs one short call an entry, so all that is the same for many is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import itemgetter

from homeport.protocols.ftp.listed import Listed
from homeport.protocols.ftp.times import format_time

# In the order in which they are sent and FEAT lists them.
FACT_ORDER = ("type", "size", "modify", "perm", "unique", "UNIX.mode")
ALL_FACTS = frozenset(FACT_ORDER)

# kind -> the type fact. `current` and `parent` are the folder that is listed and the one above it.
TYPES = {
    "file": "file",
    "directory": "dir",
    "link": "OS.unix=slink",
    "other": "OS.unix=other",
    "current": "cdir",
    "parent": "pdir",
}

# letter of the perm fact -> the right that gives it (RFC 3659 section 7.5.5)
_FILE_PERMS = (("a", "overwrite"), ("d", "delete"), ("f", "rename"), ("r", "read"), ("w", "overwrite"))
_FOLDER_PERMS = (
    ("c", "write"),
    ("d", "delete"),
    ("e", "list"),
    ("f", "rename"),
    ("l", "list"),
    ("m", "mkdir"),
    ("p", "delete"),
)
_NAME_ONLY_PERMS = (("d", "delete"), ("f", "rename"))
_PERMS = {
    "file": _FILE_PERMS,
    "directory": _FOLDER_PERMS,
    "link": _NAME_ONLY_PERMS,
    "other": _NAME_ONLY_PERMS,
    "current": _FOLDER_PERMS,
    "parent": _FOLDER_PERMS,
}

_Values = tuple[int, str, str, int, str]  # size, modify, unique, mode, name
_COLUMNS = {
    "size": ("size=%d;", 0),
    "modify": ("modify=%s;", 1),
    "unique": ("unique=%s;", 2),
    "UNIX.mode": ("UNIX.mode=0%03o;", 3),
}


def perm_fact(kind: str, rights: Collection[str]) -> str:
    """The letters of what an account with `rights` (`read`, `write`, ...) may do with a `kind` of entry."""
    return "".join(letter for letter, right in _PERMS[kind] if right in rights)


class FactLines:
    """Makes fact lines for one listing: the facts that OPTS MLST left, and the account's rights."""

    def __init__(self, facts: Collection[str], rights: Collection[str]) -> None:
        self._kinds = {kind: _compile(kind, facts, rights) for kind in TYPES}

    def line(self, name: str, kind: str, entry: Listed) -> str:
        """One entry without a line end; `kind` is a key of TYPES, `name` what stands behind the facts."""
        template, pick = self._kinds[kind]
        unique = f"{entry.device:x}g{entry.inode:x}"
        values = (entry.size, format_time(entry.mtime_ns), unique, entry.mode & 0o777, name)
        return template % (pick(values) if pick else values[-1:])


def _compile(
    kind: str, facts: Collection[str], rights: Collection[str]
) -> tuple[str, Callable[[_Values], object] | None]:
    """The %-template of one kind, and what picks the values that it wants; None when it wants the name alone."""
    template, columns = "", []
    for fact in FACT_ORDER:
        if fact not in facts:
            continue
        if fact == "type":
            template += f"type={TYPES[kind]};"
        elif fact == "perm":
            template += f"perm={perm_fact(kind, rights)};"
        elif fact != "size" or kind == "file":
            text, column = _COLUMNS[fact]
            template += text
            columns.append(column)
    return template + " %s", itemgetter(*columns, 4) if columns else None
