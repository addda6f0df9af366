"""LIST's lines, as `ls -l` prints them with English months and UTC: what old clients parse.

The one rule: same as in `facts.py`, all that is the same for many entries is made once.
"""

from __future__ import annotations

from datetime import datetime

from homeport.protocols.ftp.listed import Listed
from homeport.protocols.ftp.times import DAY_S, Days, seconds_of

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TRIADS = ("---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx")
_MODES = tuple(_TRIADS[bits >> 6] + _TRIADS[bits >> 3 & 7] + _TRIADS[bits & 7] for bits in range(0o1000))
_LETTERS = {"file": "-", "directory": "d", "link": "l", "other": "s"}
_CLOCK = tuple(f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in range(60))
_LINKS = tuple(f"{links:3d}" for links in range(100))
_RECENT_S = 180 * DAY_S  # older, or from the future, and `ls` shows the year in place of the hour


def _day_texts(date: datetime) -> tuple[str, str]:
    """`Nov 20 ` and `Nov 20  2026`."""
    head = f"{_MONTHS[date.month - 1]} {date.day:2d} "
    return head, f"{head} {date.year:04d}"


_DAYS = Days(_day_texts)


class ListLines:
    """Makes lines for one listing. `owner` stands for owner and group; `now_s` is the wall clock's time."""

    def __init__(self, owner: str, now_s: float) -> None:
        # A space would shift the columns that clients count.
        name = "".join("_" if char.isspace() else char for char in owner) or "-"
        self._owner = f"{name:<8} {name:<8}"
        self._newest = int(now_s) + 60  # clocks differ a little
        self._oldest = int(now_s) - _RECENT_S

    def line(self, name: str, kind: str, entry: Listed) -> str:
        """One entry without a line end; `kind` is `file`, `directory`, `link` or `other`."""
        seconds = seconds_of(entry.mtime_ns)
        when, old = _DAYS[seconds // DAY_S]
        if self._oldest < seconds <= self._newest:
            when += _CLOCK[seconds % DAY_S // 60]
        else:
            when = old
        links = entry.links
        # A width in a format takes longer than the rest of the line.
        count = _LINKS[links] if links < len(_LINKS) else str(links)
        size = str(entry.size).rjust(12)
        return f"{_LETTERS[kind]}{_MODES[entry.mode & 0o777]} {count} {self._owner} {size} {when} {name}"
