"""Facts of MLST and MLSD: `type=file;size=5;...; name` (RFC 3659 section 7).

The one rule: a folder of 50,000 entries costs one turn of a short loop an entry, so all that is the same for many is
made once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from homeport.protocols.ftp.listed import Looked, kind_of
from homeport.protocols.ftp.times import DAY_S, DAYS, MINUTES, SECONDS, Written

# In the order in which they are sent and FEAT lists them.
FACT_ORDER = ("type", "size", "modify", "perm", "unique", "UNIX.mode")
ALL_FACTS = frozenset(FACT_ORDER)

# kind -> the type fact
TYPES = {
    "file": "file",
    "directory": "dir",
    "link": "OS.unix=slink",
    "other": "OS.unix=other",
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
}

_MODIFIED = Written(lambda day: f"modify={DAYS[day]}")
_ENDS = tuple(f"{second};" for second in SECONDS)


def perm_fact(kind: str, rights: Collection[str]) -> str:
    """The letters of what an account with `rights` (`read`, `write`, ...) may do with a `kind` of entry."""
    return "".join(letter for letter, right in _PERMS[kind] if right in rights)


class FactLines:
    """Makes fact lines for one listing: the facts that OPTS MLST left, and the account's rights."""

    def __init__(self, facts: Collection[str], rights: Collection[str]) -> None:
        self._modify = "modify" in facts
        self._unique = "unique" in facts
        self._parts = Written(lambda mode: _parts(mode, facts, rights))

    def lines(self, looked: Iterable[Looked]) -> list[str]:
        """One line an entry, without its end; its name is what stands behind the facts."""
        parts, days, minutes, ends = self._parts, _MODIFIED, MINUTES, _ENDS
        modify, unique = self._modify, self._unique
        last_device, device_text = None, ""  # nearly always the same
        lines = []
        for name, (mode, inode, device, _, _, _, size, _, seconds, _) in looked:
            head, sized, tail, end = parts[mode]
            if sized:
                head = f"{head}{size};"
            if modify:
                second = seconds % DAY_S
                head = f"{head}{days[seconds // DAY_S]}{minutes[second // 60]}{ends[second % 60]}"
            if unique:
                if device != last_device:
                    last_device, device_text = device, f"unique={device:x}g"
                tail = f"{tail}{device_text}{inode:x};"
            lines.append(f"{head}{tail}{end}{name}")
        return lines


def _parts(mode: int, facts: Collection[str], rights: Collection[str]) -> tuple[str, bool, str, str]:
    """The facts that are the same for all of one mode: what stands before the size, whether that follows, what stands
    between the time and `unique`, and what is the last.
    """
    kind = kind_of(mode)
    sized = "size" in facts and kind == "file"
    head = f"type={TYPES[kind]};" if "type" in facts else ""
    tail = f"perm={perm_fact(kind, rights)};" if "perm" in facts else ""
    end = f"UNIX.mode=0{mode & 0o777:03o}; " if "UNIX.mode" in facts else " "
    return f"{head}size=" if sized else head, sized, tail, end
