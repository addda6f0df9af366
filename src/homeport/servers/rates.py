"""The transfer rates of accounts: one bucket for all sessions of an account in this worker, whatever their protocol.

The one rule: a rate is arithmetic on `now`; whoever transfers does the waiting.
"""

from __future__ import annotations

import threading

from homeport.core.throttle import TokenBucket


class SharedRate:
    """A rate limit for several transfers at once: core's, behind a lock."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bucket = TokenBucket(bytes_per_s)
        self._lock = threading.Lock()

    def delay(self, now: float, amount: float) -> float:
        """See TokenBucket."""
        with self._lock:
            return self._bucket.delay(now, amount)


class AccountRates:
    """The buckets of all accounts. For the event loop's thread."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int, bool], SharedRate] = {}

    def bucket(self, account_id: int, bytes_per_s: int, *, upload: bool) -> SharedRate:
        """The rate limit that all sessions of an account share; a changed limit makes a new one."""
        key = (account_id, bytes_per_s, upload)
        if key not in self._buckets:
            self._buckets = {other: bucket for other, bucket in self._buckets.items() if other[::2] != key[::2]}
            self._buckets[key] = SharedRate(bytes_per_s)
        return self._buckets[key]
