"""Facts of MLST and MLSD: `type=file;size=5;...; name` (RFC 3659 section 7).

The one rule: a folder of 50,000 entries costs one short call an entry, so all that is the same for many is made once.
"""

from __future__ import annotations

from collections.abc import Collection

from homeport.protocols.ftp.listed import Listed
from homeport.protocols.ftp.times import DAY_S, DAYS, MINUTES, SECONDS, seconds_of

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

_MODES = tuple(f"UNIX.mode=0{mode:03o}; " for mode in range(0o1000))
_NO_MODES = (" ",) * 0o1000


def perm_fact(kind: str, rights: Collection[str]) -> str:
    """The letters of what an account with `rights` (`read`, `write`, ...) may do with a `kind` of entry."""
    return "".join(letter for letter, right in _PERMS[kind] if right in rights)


class FactLines:
    """Makes fact lines for one listing: the facts that OPTS MLST left, and the account's rights."""

    def __init__(self, facts: Collection[str], rights: Collection[str]) -> None:
        self._kinds = {kind: _constants(kind, facts, rights) for kind in TYPES}
        self._modify = "modify" in facts
        self._unique = "unique" in facts
        self._device, self._device_text = -1, ""  # nearly always the same
        self._modes = _MODES if "UNIX.mode" in facts else _NO_MODES

    def line(self, name: str, kind: str, entry: Listed) -> str:
        """One entry without a line end; `kind` is a key of TYPES, `name` what stands behind the facts."""
        head, sized, perm = self._kinds[kind]
        if sized:
            head = f"{head}size={entry.size};"
        if self._modify:
            seconds = seconds_of(entry.mtime_ns)
            second = seconds % DAY_S
            head = f"{head}modify={DAYS[seconds // DAY_S]}{MINUTES[second // 60]}{SECONDS[second % 60]};"
        if self._unique:
            if entry.device != self._device:
                self._device, self._device_text = entry.device, f"unique={entry.device:x}g"
            perm = f"{perm}{self._device_text}{entry.inode:x};"
        return f"{head}{perm}{self._modes[entry.mode & 0o777]}{name}"


def _constants(kind: str, facts: Collection[str], rights: Collection[str]) -> tuple[str, bool, str]:
    """The facts that are the same for all of one kind: what stands before the size, whether that follows, and perm."""
    head = f"type={TYPES[kind]};" if "type" in facts else ""
    perm = f"perm={perm_fact(kind, rights)};" if "perm" in facts else ""
    return head, "size" in facts and kind == "file", perm
