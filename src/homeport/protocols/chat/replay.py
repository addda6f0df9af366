"""Which datagram numbers were seen. The one rule: a number is new at most once; one too old to tell counts as seen."""

from __future__ import annotations

WINDOW = 1024


class ReplayWindow:
    """The highest number, and which of the WINDOW numbers below it have come."""

    __slots__ = ("_seen", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self._seen = 0  # bit i: highest - i

    def is_new(self, number: int) -> bool:
        """Whether `number` may still be taken."""
        behind = self.highest - number
        return behind < 0 or (behind < WINDOW and not self._seen >> behind & 1)

    def take(self, number: int) -> bool:
        """Remember `number`, which is new; whether it is the highest so far."""
        ahead = number - self.highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            self.highest = number
            return True
        self._seen |= 1 << -ahead
        return False
