"""Short calls that may block, on the event loop for as long as they do not: a hop to a thread and back costs more.

The one rule: what the loop waits for a disk stays below a hundredth of its time, and a tenth of a second more: what 99
of 100 others meet is not touched. Beyond that short calls go to threads. For other people (a recount, another process)
it never waits: WouldBlock says that a thread has to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from homeport.core.patience import Hurry

try:
    import resource

    _THREAD: int | None = getattr(resource, "RUSAGE_THREAD", None)
except ImportError:  # not on Unix
    _THREAD = None

P = ParamSpec("P")
T = TypeVar("T")

_HURRY = Hurry()
_LONG_S = 0.001
_SHARE = 0.01  # of the loop's time
_BURST_S = 0.1
_DEBT_S = 0.6  # at most, which takes a minute to earn


def _waits() -> int:
    """How often this thread has waited for something so far; a thread that merely lost its turn has not."""
    return 0 if _THREAD is None else resource.getrusage(_THREAD).ru_nvcsw


class Haste:
    """Whether short calls run on the loop. For the loop's own thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, waits: Callable[[], int] = _waits) -> None:
        self._clock = clock
        self._waits = waits
        self._left_s = _BURST_S  # that the loop may wait
        self._earned_until = clock()

    def allows(self) -> bool:
        """Whether the next short call may run on the loop."""
        if self._left_s <= 0:
            self._earn(self._clock())
        return self._left_s > 0

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call` returns or raises, or WouldBlock. Remembers whether it made the loop wait."""
        waits_before, began = self._waits(), self._clock()
        try:
            with _HURRY:
                return call(*args, **kwargs)
        finally:
            ended = self._clock()
            if ended - began > _LONG_S and (_THREAD is None or self._waits() > waits_before):
                self._earn(ended)
                self._left_s = max(self._left_s - (ended - began), -_DEBT_S)

    def _earn(self, now: float) -> None:
        self._left_s = min(self._left_s + (now - self._earned_until) * _SHARE, _BURST_S)
        self._earned_until = now
