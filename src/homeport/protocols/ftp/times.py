"""Times as FTP writes them: YYYYMMDDHHMMSS[.sss], always UTC (RFC 3659 section 2.3).

The one rule: strict both ways. What is no date of the calendar is refused, and no year raises on the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHAPE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})(?:\.([0-9]{1,9}))?", re.ASCII)
_FIRST_S, _LAST_S = -62135596800, 253402300799  # years 1 and 9999


def parse_time(text: str) -> int:
    """Nanoseconds since the epoch. A second of 60 counts as the next minute's first. Raises ValueError."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError("a time is written YYYYMMDDHHMMSS, in UTC")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    leap = second == 60
    try:
        moment = datetime(year, month, day, hour, minute, second - leap, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"no such time: {error}") from None
    seconds = (moment - _EPOCH) // timedelta(seconds=1) + leap
    return seconds * 1_000_000_000 + int((match[7] or "0").ljust(9, "0"))


DAY_S = 86400
MINUTES = tuple(f"{hour:02d}{minute:02d}" for hour in range(24) for minute in range(60))  # of a day
SECONDS = tuple(f"{second:02d}" for second in range(60))  # of a minute
_MOST_WRITTEN = 4096

Text = TypeVar("Text")


class Written(dict[int, Text]):
    """What is written for a number, made once for all files that share it; bounded, as numbers come from files.

    Looking one up takes half of what `lru_cache` takes.
    """

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[int], Text]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, number: int) -> Text:
        if len(self) >= _MOST_WRITTEN:
            self.clear()
        text = self[number] = self._write(number)
        return text


def date_of(day: int) -> datetime:
    """The day with this number, counted from the epoch; those before the year 1 or behind 9999 are the nearest one."""
    return _EPOCH + timedelta(days=min(max(day, _FIRST_S // DAY_S), _LAST_S // DAY_S))


def _day_text(day: int) -> str:
    date = date_of(day)
    return f"{date.year:04d}{date.month:02d}{date.day:02d}"


DAYS = Written(_day_text)


def format_time(mtime_ns: int) -> str:
    """YYYYMMDDHHMMSS of nanoseconds since the epoch, cut to whole seconds; years beyond 1 to 9999 are clamped."""
    seconds = min(max(mtime_ns // 1_000_000_000, _FIRST_S), _LAST_S)
    second = seconds % DAY_S
    return f"{DAYS[seconds // DAY_S]}{MINUTES[second // 60]}{SECONDS[second % 60]}"
