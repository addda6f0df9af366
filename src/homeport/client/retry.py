"""When to try again: one backoff shared by all connections of a job, so that a server in trouble meets no storm.

The one rule: only progress resets it. Arithmetic on `now` with randomness handed in, so that a test needs no clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential with full jitter: before try n a random wait of up to first_s x 2^n, at most cap_s.

    `attempts` is how often in a row it may fail without a single byte in between.
    """

    attempts: int = 8
    first_s: float = 0.5
    cap_s: float = 30.0

    def longest_wait_s(self, failures: int) -> float:
        """The upper end of the wait after that many failures in a row, from 1."""
        doublings = min(failures - 1, 32)  # beyond that the cap has long decided
        return min(self.cap_s, self.first_s * 1.0 * (1 << doublings))


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after `delay_s`; it will be the try number `attempt` since the last progress."""

    delay_s: float
    attempt: int


class Backoff:
    """The state of one job. Several threads may use it."""

    def __init__(self, policy: RetryPolicy, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._lock = threading.Lock()
        self._failures = 0
        self._until = float("-inf")

    def failed(self, now: float) -> Wait | None:
        """A try has failed: how long to wait, or None when it is time to give up.

        Connections that fail while others wait already count as the same failure: they share one cause.
        """
        with self._lock:
            if now >= self._until:
                self._failures += 1
                if self._failures >= self._policy.attempts:
                    return None
                self._until = now + self._random() * self._policy.longest_wait_s(self._failures)
            return Wait(max(0.0, self._until - now), self._failures)

    def progressed(self) -> None:
        """Bytes have come through, or a file is done."""
        with self._lock:
            self._failures = 0
