"""LIST's lines, as `ls -l` prints them with English months and UTC: what old clients parse.

The one rule: same as in `facts.py`, all that is the same for many entries is made once.
"""

from __future__ import annotations

from functools import lru_cache

from homeport.protocols.ftp.listed import Listed
from homeport.protocols.ftp.times import clamp_seconds, date_of

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TRIADS = ("---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx")
_MODES = tuple(_TRIADS[bits >> 6] + _TRIADS[bits >> 3 & 7] + _TRIADS[bits & 7] for bits in range(0o1000))
_LETTERS = {"file": "-", "directory": "d", "link": "l", "other": "s"}
_CLOCK = tuple(f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in range(60))
_DAY_S = 86400
_RECENT_S = 180 * _DAY_S  # older, or from the future, and `ls` shows the year in place of the hour


@lru_cache(maxsize=4096)
def _day_text(day: int) -> tuple[str, str]:
    """`Nov 20 ` and `Nov 20  2026` of the day that many days after the epoch."""
    date = date_of(day)
    head = f"{_MONTHS[date.month - 1]} {date.day:2d} "
    return head, f"{head} {date.year:04d}"


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
        seconds = clamp_seconds(entry.mtime_ns)
        day, second = divmod(seconds, _DAY_S)
        head, old = _day_text(day)
        when = head + _CLOCK[second // 60] if self._oldest < seconds <= self._newest else old
        mode = _LETTERS[kind] + _MODES[entry.mode & 0o777]
        return f"{mode} {entry.links:3d} {self._owner} {entry.size:12d} {when} {name}"
