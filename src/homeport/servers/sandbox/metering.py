"""Watching what a running command takes: quota, disk, processor time. Nobody can charge it before it writes.

The one rule: looking costs a small part of the time, however large the home is: a count of the home is not made again
before a multiple of what the last one took. So a command may pass the quota for a moment; then it is stopped, and what
it left counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from homeport.config.units import human_size
from homeport.core.count import Count
from homeport.core.errors import HomeportError, LedgerBusy
from homeport.core.outside import Outside
from homeport.core.quota import Usage
from homeport.servers.sandbox.limits import Limits

BUSY_S, IDLE_S = 0.1, 0.4  # between looks, while the command works and while it waits
_SHARE = 20  # a count is made at most this fraction of the time
_QUIET_S = 2.0  # a command that seems to do nothing is counted at least so often
_DRIFT = Count(1 << 20, 64)  # what the ledger may be off while a command runs
_MOST_FAILURES = 5
_SETTLING_TRIES = 5
_SETTLING_PAUSE_S = 1.0

_log = logging.getLogger(__name__)


def _nothing() -> int:
    return 0


class Meter:
    """One command's meter, made before it begins; it blocks, and is called by one thread at a time.

    `clock` and `sleep` are in seconds. Raises what `Outside` raises.
    """

    def __init__(
        self,
        outside: Outside,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._outside = outside
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        outside.note()  # before the command begins: whatever it writes is counted though this process dies
        self._at_start = outside.usage()
        self._reserve_bytes = min(limits.disk_reserve_bytes, outside.disk_free() // 2)
        self._cpu_s = 0.0
        self._counted_at = clock()
        self._next_count = self._counted_at
        self._failures = 0
        self._worked = False

    @property
    def pause_s(self) -> float:
        """How long to wait before the next look."""
        return BUSY_S if self._worked else IDLE_S

    def file_bytes(self) -> int:
        """How long a single file may be, as a first guard: as long as the quota, and as the disk.

        A file with nothing in it may be as long as 2^63 bytes elsewhere, and no ledger holds the sum of two.
        """
        usage, disk = self._at_start, self._outside.disk_bytes()
        return disk if usage.quota_bytes is None else min(disk, max(usage.quota_bytes, usage.used_bytes))

    def look(self, cpu_s: float, unlinked_bytes: Callable[[], int] = _nothing) -> str | None:
        """Why the command is to be stopped, if it is; `cpu_s` is the processor time that it has used.

        `unlinked_bytes` tells what it keeps on the disk without a name.
        """
        self._worked, self._cpu_s = cpu_s != self._cpu_s, cpu_s
        if cpu_s > self._limits.cpu_s:
            return f"it has used its {self._limits.cpu_s:g} s of processor time"
        try:
            self._outside.note()
            if self._outside.disk_free() < self._reserve_bytes:
                return "the server's disk is nearly full"
            reason = self._count(unlinked_bytes) if self._is_due() else None
        except LedgerBusy:
            return None
        except HomeportError as error:
            self._failures += 1
            return f"its files cannot be counted: {error}" if self._failures >= _MOST_FAILURES else None
        self._failures = 0
        return reason

    def settle(self) -> None:
        """Make what is there the ledger's truth, after the command's end."""
        for left in reversed(range(_SETTLING_TRIES)):
            try:
                self._outside.recount()
            except LedgerBusy:
                if left:
                    self._sleep(_SETTLING_PAUSE_S)
            except HomeportError as error:
                _log.warning("an account could not be recounted after its command: %s", error)
                return
            else:
                return
        _log.warning("an account could not be recounted after its command; `homeport quota check` does it")

    def _is_due(self) -> bool:
        now = self._clock()
        return now >= self._next_count and (self._worked or now >= self._counted_at + _QUIET_S)

    def _count(self, unlinked_bytes: Callable[[], int]) -> str | None:
        began = self._clock()
        count, usage, unlinked = self._outside.measure(), self._outside.usage(), unlinked_bytes()
        self._counted_at = self._clock()
        self._next_count = self._counted_at + _SHARE * (self._counted_at - began)
        reason = over(count + Count(unlinked), usage, self._at_start)
        off = Count(abs(count.bytes - usage.used_bytes), abs(count.files - usage.used_files))
        if reason is None and (off.bytes > _DRIFT.bytes or off.files > _DRIFT.files):
            self._outside.recount()
        return reason


def over(count: Count, usage: Usage, at_start: Usage) -> str | None:
    """Which limit `count` passes; who was past it at the start may stay there, so as to be able to remove files."""
    if usage.quota_bytes is not None and count.bytes > max(usage.quota_bytes, at_start.used_bytes):
        return f"the quota of {human_size(usage.quota_bytes)} is used up"
    if usage.max_files is not None and count.files > max(usage.max_files, at_start.used_files):
        return f"the quota of {usage.max_files} files is used up"
    return None
