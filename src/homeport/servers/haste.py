"""Short calls that may block, on the event loop for as long as they do not: a hop to a thread and back costs more.

The one rule: what the loop waits for a disk stays below a hundredth of its time, and a tenth of a second more: what 99
of 100 others meet is not touched. Beyond that short calls go to threads. For other people (a recount, another process)
it never waits: WouldBlock says that a thread has to.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from homeport.core.patience import Hurry

P = ParamSpec("P")
T = TypeVar("T")

_HURRY = Hurry()
_LONG_S = 0.001
_SHARE = 0.01  # of the loop's time
_BURST_S = 0.1
_DEBT_S = 0.6  # at most, which takes a minute to earn
_SCHEDULE = "/proc/thread-self/schedstat"  # nanoseconds on a processor, and in the queue for one


class Awake:
    """For how many seconds one thread, the first that asks, has worked or could have: the rest it has slept.

    A thread that lost its processor to another program has not waited for a disk, though it took as long. Where the
    kernel does not tell, its time on a processor has to do.
    """

    __slots__ = ("_fd",)

    def __init__(self, schedule: str = _SCHEDULE) -> None:
        self._fd: int | None = None
        try:
            self._fd = os.open(schedule, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return

    def __del__(self) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def __call__(self) -> float:
        if self._fd is None:
            return time.thread_time()
        worked, queued, _ = os.pread(self._fd, 64, 0).split()
        return (int(worked) + int(queued)) / 1e9


class Haste:
    """Whether short calls run on the loop. For the loop's own thread."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, awake: Callable[[], float] | None = None
    ) -> None:
        self._clock = clock
        self._awake = awake  # made by the first call, in the loop's thread
        self._left_s = _BURST_S  # that the loop may wait
        self._earned_until = clock()

    def allows(self) -> bool:
        """Whether the next short call may run on the loop."""
        if self._left_s <= 0:
            self._earn(self._clock())
        return self._left_s > 0

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call` returns or raises, or WouldBlock. Remembers for how long it made the loop wait."""
        awake = self._awake
        if awake is None:
            awake = self._awake = Awake()
        awake_before, began = awake(), self._clock()
        try:
            with _HURRY:
                return call(*args, **kwargs)
        finally:
            ended = self._clock()
            if ended - began > _LONG_S and (waited := ended - began - (awake() - awake_before)) > _LONG_S:
                self._earn(ended)
                self._left_s = max(self._left_s - waited, -_DEBT_S)

    def _earn(self, now: float) -> None:
        self._left_s = min(self._left_s + (now - self._earned_until) * _SHARE, _BURST_S)
        self._earned_until = now
