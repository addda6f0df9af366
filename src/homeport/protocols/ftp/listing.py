"""LIST's lines, as `ls -l` prints them with English months and UTC: what old clients parse.

The one rule: same as in `facts.py`, all that is the same for many entries is made once.
"""

from __future__ import annotations

from collections.abc import Iterable

from homeport.protocols.ftp.listed import Looked, kind_of
from homeport.protocols.ftp.times import DAY_S, Written, date_of

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TRIADS = ("---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx")
_LETTERS = {"file": "-", "directory": "d", "link": "l", "other": "s"}
_CLOCK = tuple(f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in range(60))
_RECENT_S = 180 * DAY_S  # older, or from the future, and `ls` shows the year in place of the hour


def _day_texts(day: int) -> tuple[str, str]:
    """`Nov 20 ` and `Nov 20  2026`."""
    date = date_of(day)
    head = f"{_MONTHS[date.month - 1]} {date.day:2d} "
    return head, f"{head} {date.year:04d}"


def _mode_text(mode: int) -> str:
    """Such as `-rw-r--r--`."""
    return _LETTERS[kind_of(mode)] + _TRIADS[mode >> 6 & 7] + _TRIADS[mode >> 3 & 7] + _TRIADS[mode & 7]


_DAYS = Written(_day_texts)
_MODES = Written(_mode_text)


class ListLines:
    """Makes lines for one listing. `owner` stands for owner and group; `now_s` is the wall clock's time."""

    def __init__(self, owner: str, now_s: float) -> None:
        # A space would shift the columns that clients count.
        name = "".join("_" if char.isspace() else char for char in owner) or "-"
        self._links = Written(lambda links: f"{links:3d} {name:<8} {name:<8}")
        self._newest = int(now_s) + 60  # clocks differ a little
        self._oldest = int(now_s) - _RECENT_S

    def lines(self, looked: Iterable[Looked]) -> list[str]:
        """One line an entry, without its end."""
        modes, counts, days, clock = _MODES, self._links, _DAYS, _CLOCK
        oldest, newest = self._oldest, self._newest
        lines = []
        for name, (mode, _, _, links, _, _, size, _, seconds, _) in looked:
            when, old = days[seconds // DAY_S]
            when = when + clock[seconds % DAY_S // 60] if oldest < seconds <= newest else old
            # A width in a format takes longer than the rest of the line.
            lines.append(f"{modes[mode]} {counts[links]} {str(size).rjust(12)} {when} {name}")
        return lines
