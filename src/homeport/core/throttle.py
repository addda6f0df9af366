"""Rate limits as arithmetic on `now`: nobody sleeps here, the caller waits as long as it is told.

The one rule: over any time, no more passes than the burst plus the rate times that time.
"""

from __future__ import annotations

import threading


class TokenBucket:
    """`rate` units a second on average, `burst` at once; None is no limit.

    A debt is allowed: `delay` takes what was moved already and says how long to rest before the next move. The
    transfers of one account may share a bucket from several threads.
    """

    __slots__ = ("_burst", "_full_at", "_lock", "_rate")

    def __init__(self, rate: float | None, burst: float | None = None) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"a rate must be above 0, not {rate}; None is no limit")
        self._rate = rate
        self._burst = burst if burst is not None else rate or 0.0
        self._full_at: float | None = None
        self._lock = threading.Lock()

    def delay(self, now: float, amount: float) -> float:
        """Take `amount`; the seconds to wait from `now` (monotonic) until the bucket is out of debt."""
        if self._rate is None:
            return 0.0
        with self._lock:
            full_at = now if self._full_at is None else max(now, self._full_at)
            self._full_at = full_at = full_at + amount / self._rate
        return max(0.0, full_at - now - self._burst / self._rate)
