"""Short calls that may block, on the event loop for as long as they do not: a hop to a thread and back costs more.

The one rule: what the loop spends waiting for a disk stays below a hundredth of its time. A call that made it wait
sends all those after it to threads for a hundred times as long. For other people (a recount, another process) it never
waits: WouldBlock says that a thread has to.
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
_REST = 100  # times as long as the call took: what 99 of 100 others meet is not touched
_LONGEST_REST_S = 60.0


def _waits() -> int:
    """How often this thread has waited for something so far; a thread that merely lost its turn has not."""
    return 0 if _THREAD is None else resource.getrusage(_THREAD).ru_nvcsw


class Haste:
    """Whether short calls run on the loop. For the loop's own thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, waits: Callable[[], int] = _waits) -> None:
        self._clock = clock
        self._waits = waits
        self._not_before = 0.0

    def allows(self) -> bool:
        """Whether the next short call may run on the loop."""
        return self._clock() >= self._not_before

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call` returns or raises, or WouldBlock. Remembers whether it made the loop wait."""
        waits_before, began = self._waits(), self._clock()
        try:
            with _HURRY:
                return call(*args, **kwargs)
        finally:
            ended = self._clock()
            if ended - began > _LONG_S and (_THREAD is None or self._waits() > waits_before):
                self._not_before = ended + min((ended - began) * _REST, _LONGEST_REST_S)
