"""Deadlines by the thousand on one timer: they move with every command and rarely come.

The one rule: moving a deadline later costs one assignment; the heap learns of it when the old time has come. Times are
the loop's monotonic clock, so a clock that is set neither ends nor prolongs anything.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

_FEW = 64  # entries that nobody waits for; below that, cleaning up is not worth it


def _nothing() -> None:
    """What a discarded deadline does."""


class Deadline:
    """One thing that must happen in time, or `expired` is called once. Made by `Deadlines.new`."""

    __slots__ = ("_all", "_filed_for", "at", "expired")

    def __init__(self, all_of_them: Deadlines, expired: Callable[[], None]) -> None:
        self._all = all_of_them
        self.expired = expired
        self.at: float | None = None
        self._filed_for: float | None = None  # the earliest time at which the heap will look at it

    def set(self, seconds: float) -> None:
        """It comes `seconds` from now, in place of whenever it would have come."""
        self.at = self._all.now() + seconds
        if self._filed_for is None or self.at < self._filed_for:
            self._filed_for = self.at
            self._all.file(self)

    def clear(self) -> None:
        """It does not come until it is set again."""
        self.at = None

    def discard(self) -> None:
        """It never comes again, and nothing keeps `expired` alive any more."""
        self.at = None
        self.expired = _nothing
        if self._filed_for is not None:
            self._filed_for = None
            self._all.forget_one()

    def look(self, now: float) -> None:
        """The heap's question at a time it was filed for: call `expired`, or be filed again."""
        self._filed_for = None
        if self.at is None:
            return
        if self.at > now:
            self._filed_for = self.at
            self._all.file(self)
            return
        self.at = None
        self.expired()

    def is_filed_for(self, at: float) -> bool:
        """Whether this heap entry is the one that counts (an earlier one may have been filed since)."""
        return self._filed_for == at


class Deadlines:
    """All deadlines of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time
        self._loop = loop
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._dead = 0  # entries of deadlines that were discarded

    def new(self, expired: Callable[[], None]) -> Deadline:
        """A deadline that is not set yet."""
        return Deadline(self, expired)

    def file(self, deadline: Deadline) -> None:
        """Look at `deadline` when `deadline.at` has come. For Deadline alone."""
        at = deadline.at
        if at is None:
            return
        heapq.heappush(self._heap, (at, next(self._numbers), deadline))
        if self._timer is None or at < self._timer_at:
            self._arm(at)

    def forget_one(self) -> None:
        """One entry more is dead. For Deadline alone."""
        self._dead += 1
        # A hundred thousand short transfers must not leave as many entries behind until their time comes.
        if self._dead > _FEW and self._dead > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry[2].is_filed_for(entry[0])]
            heapq.heapify(self._heap)
            self._dead = 0

    def close(self) -> None:
        """Nothing comes any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._run)

    def _run(self) -> None:
        self._timer = None
        # A loop's timer may fire a clock tick early; what is due within it counts as due.
        now = max(self.now(), self._timer_at)
        while self._heap and self._heap[0][0] <= now:
            at, _, deadline = heapq.heappop(self._heap)
            if deadline.is_filed_for(at):
                deadline.look(now)
        if self._heap and self._timer is None:
            self._arm(self._heap[0][0])
