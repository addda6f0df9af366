"""How fast it goes and how long it will take: arithmetic on `now`, so that a test needs no clock.

The speed shown while it runs is an exponential moving average over about ten seconds, steady enough to read and quick
enough to show a stall; the speed at the end is bytes over wall-clock time, which is the only honest total.
"""

from __future__ import annotations

import math

WINDOW_S = 10.0
LONGEST_S = 86_400


class Speed:
    """Bytes a second of something that began at `now`. Every time is in seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self.started = now
        self.bytes = 0
        self._rate = 0.0
        self._weight = 0.0  # how much of the average is measured yet; begins at 0 so that the start does not lag
        self._at = now
        self._since = 0  # bytes since the last tick

    def add(self, amount: int) -> None:
        """`amount` more bytes have come through."""
        self.bytes += amount
        self._since += amount

    def tick(self, now: float) -> None:
        """Bring the average up to `now`; a few times a second is enough."""
        passed = now - self._at
        if passed <= 0:
            return
        fade = math.exp(-passed / WINDOW_S)
        self._rate = self._rate * fade + (self._since / passed) * (1 - fade)
        self._weight = self._weight * fade + (1 - fade)
        self._at, self._since = now, 0

    @property
    def current(self) -> float:
        """The moving average, bytes a second."""
        return self._rate / self._weight if self._weight else 0.0

    def average(self, now: float) -> float:
        """Bytes over wall-clock time since the beginning, bytes a second."""
        passed = now - self.started
        return self.bytes / passed if passed > 0 else 0.0

    def left_s(self, bytes_left: int) -> float | None:
        """Seconds that `bytes_left` will take at this speed; None while nothing can be said."""
        if bytes_left <= 0:
            return 0.0
        return bytes_left / self.current if self.current > 0 else None


def duration_text(seconds: float | None) -> str:
    """A time in its two largest units: `42s`, `3m 05s`, `2h 10m`, `> 1 day`; `--` when it is not known."""
    if seconds is None:
        return "--"
    whole = math.ceil(seconds)
    if whole > LONGEST_S:
        return "> 1 day"
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(size: float) -> str:
    """A size with three digits that count: `512 B`, `1.50 KiB`, `23.4 MiB`, `120 GiB`."""
    unit = 0
    while abs(size) >= 999.5 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    if unit == 0:
        return f"{size:.0f} B"
    digits = 2 if abs(size) < 9.995 else 1 if abs(size) < 99.95 else 0
    return f"{size:.{digits}f} {_UNITS[unit]}"
