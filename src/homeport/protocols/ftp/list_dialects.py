"""Reading what servers answer to LIST, which no standard fixes: a table of dialects, tried in turn on every line.

MLSD (RFC 3659) needs none of this; these dialects are for servers without it. A line that fits no dialect is no entry.
Times are taken as UTC, since a server does not say which zone it means, in whole seconds since the epoch. A date
without a year is the latest such date that is not more than a day ahead of `now`.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

ListedKind = Literal["file", "directory", "link", "other"]


@dataclass(frozen=True, slots=True)
class Listed:
    """One line understood. `size` in bytes, `mtime` in seconds since the epoch, None where the line does not tell."""

    name: str
    kind: ListedKind
    size: int | None
    mtime: int | None
    mode: int | None = None
    link_target: str | None = None


# Not from the calendar module, whose names follow the locale.
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_DAY_S = 86_400

# Permissions, links, owner, group (absent from some servers), size or device numbers, then the date and one space.
_UNIX = re.compile(
    r"(?P<type>[-bcdlpsD])(?P<mode>[-rwxsStTlL]{9})[.+@]?\s+\d*\s*"
    r"(?P<owners>(?:\S+\s+){1,2}?)(?:(?P<size>\d+)|\d+,\s*\d+)\s+"
    r"(?P<month>[A-Za-z]{3})\s+(?P<day>\d{1,2})\s+(?:(?P<hour>\d{1,2}):(?P<minute>\d{2})|(?P<year>\d{4})) (?P<name>.+)",
    re.DOTALL,
)
# The same with an ISO date, as `ls --time-style=long-iso` and embedded servers write it.
_UNIX_ISO = re.compile(
    r"(?P<type>[-bcdlpsD])(?P<mode>[-rwxsStTlL]{9})[.+@]?\s+\d*\s*"
    r"(?P<owners>(?:\S+\s+){1,2}?)(?:(?P<size>\d+)|\d+,\s*\d+)\s+"
    r"(?P<iso>\d{4}-\d\d-\d\d) (?P<hour>\d\d):(?P<minute>\d\d)(?::\d\d)? (?P<name>.+)",
    re.DOTALL,
)
# Windows: month-day-year, two or four digits of the year, a twelve- or twenty-four-hour clock.
_DOS = re.compile(
    r"(?P<month>\d\d)-(?P<day>\d\d)-(?P<year>\d{2}|\d{4})\s+(?P<hour>\d\d):(?P<minute>\d\d)(?P<half>[AaPp][Mm])?\s+"
    r"(?:(?P<dir><DIR>|<JUNCTION>)|(?P<size>[\d,]+))\s+(?P<name>.+)",
    re.DOTALL,
)
# EPLF, as publicfile and some embedded servers write it: +facts,\tname
_EPLF = re.compile(r"\+(?P<facts>[^\t]*)\t(?P<name>.+)", re.DOTALL)

_TYPES: dict[str, ListedKind] = {"-": "file", "d": "directory", "l": "link"}


def parse_line(line: str, now: float) -> Listed | None:
    """What one line of a listing says; None when it is no entry (`total 12`, an empty line, an unknown dialect)."""
    for pattern, read in _DIALECTS:
        found = pattern.fullmatch(line)
        if found:
            try:
                return read(found, now)
            except ValueError:
                return None
    return None


def parse(lines: Iterable[str], now: float) -> Iterator[Listed]:
    """Every entry among `lines`, `.` and `..` left out."""
    for line in lines:
        listed = parse_line(line.rstrip("\r\n"), now)
        if listed is not None and listed.name not in (".", ".."):
            yield listed


def _read_unix(found: re.Match[str], now: float) -> Listed:
    kind = _TYPES.get(found["type"], "other")
    name, target = found["name"], None
    if kind == "link":
        name, arrow, after = name.partition(" -> ")
        target = after if arrow else None
    size = int(found["size"]) if found["size"] else None
    return Listed(name, kind, size, _unix_time(found.groupdict(), now), _mode(found["mode"]), target)


def _unix_time(parts: dict[str, str | None], now: float) -> int:
    hour, minute = int(parts.get("hour") or 0), int(parts.get("minute") or 0)
    if iso := parts.get("iso"):
        year, month, day = (int(part) for part in iso.split("-"))
        return _epoch(year, month, day, hour, minute)
    month, day = _MONTHS.get((parts["month"] or "").lower(), 0), int(parts["day"] or 0)
    if year_text := parts["year"]:
        return _epoch(int(year_text), month, day, 0, 0)
    this_year = datetime.fromtimestamp(now, UTC).year
    for year in range(this_year + 1, this_year - 5, -1):  # the last leap year is among them
        if (month, day) == (2, 29) and not calendar.isleap(year):
            continue
        moment = _epoch(year, month, day, hour, minute)
        if moment <= now + _DAY_S:
            return moment
    raise ValueError("no year fits")


def _read_dos(found: re.Match[str], _now: float) -> Listed:
    year = int(found["year"])
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    mtime = _epoch(year, int(found["month"]), int(found["day"]), hour, int(found["minute"]))
    size = int(found["size"].replace(",", "")) if found["size"] else None
    return Listed(found["name"], "directory" if found["dir"] else "file", size, mtime)


def _read_eplf(found: re.Match[str], _now: float) -> Listed:
    facts = {fact[:1]: fact[1:] for fact in found["facts"].split(",") if fact}
    kind: ListedKind = "directory" if "/" in facts else "file" if "r" in facts else "other"
    size = int(facts["s"]) if "s" in facts else None
    return Listed(found["name"], kind, size, int(facts["m"]) if "m" in facts else None)


_DIALECTS: list[tuple[re.Pattern[str], Callable[[re.Match[str], float], Listed]]] = [
    (_UNIX, _read_unix),
    (_UNIX_ISO, _read_unix),
    (_DOS, _read_dos),
    (_EPLF, _read_eplf),
]


def _mode(text: str) -> int:
    """`rwxr-xr-x` as permission bits; set-id and sticky letters give their execute bit alone."""
    bits = 0
    for position, letter in enumerate(text):
        if letter not in "-STLl":
            bits |= 1 << (8 - position)
    return bits


def _epoch(year: int, month: int, day: int, hour: int, minute: int) -> int:
    if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1] and hour < 24 and minute < 60):
        raise ValueError("no such moment")
    return calendar.timegm((year, month, day, hour, minute, 0))
