"""When a command is stopped, how often it is looked at, and what is made of it in the end: with a clock of our own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from homeport.core.count import Count
from homeport.core.errors import HomeUnavailable, LedgerBusy
from homeport.core.quota import Usage
from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.metering import BUSY_S, IDLE_S, Meter, over

FREE, DISK = 10 << 30, 1 << 40


@dataclass
class Disk:
    """A home that changes as the test says."""

    count: Count = field(default_factory=Count)
    known: Usage = field(default_factory=lambda: Usage(0, 0, 1000, 10))
    free: int = FREE
    cost_s: float = 0.0
    now: float = 0.0
    counts: int = 0
    recounts: int = 0
    fails: list[Exception] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def note(self) -> None:
        if self.fails:
            raise self.fails.pop()

    def usage(self) -> Usage:
        return self.known

    def measure(self) -> Count:
        self.counts += 1
        self.now += self.cost_s
        return self.count

    def recount(self) -> None:
        if self.fails:
            raise self.fails.pop()
        self.recounts += 1
        self.known = replace(self.known, used_bytes=self.count.bytes, used_files=self.count.files)

    def disk_free(self) -> int:
        return self.free

    def disk_bytes(self) -> int:
        return DISK

    def meter(self, **limits: Any) -> Meter:
        return Meter(cast(Any, self), Limits(**limits), clock=lambda: self.now, sleep=self.slept.append)


@pytest.mark.parametrize(
    ("disk", "cpu_s", "reason"),
    [
        (Disk(Count(1000, 10)), 1.0, None),
        (Disk(Count(1001, 1)), 1.0, "the quota of 1000 bytes is used up"),
        (Disk(Count(1, 11)), 1.0, "the quota of 10 files is used up"),
        (Disk(), 3601.0, "it has used its 3600 s of processor time"),
        (Disk(Count(10**12, 10**6), Usage(0, 0, None, None)), 1.0, None),
    ],
)
def test_why_it_is_stopped(disk: Disk, cpu_s: float, reason: str | None) -> None:
    assert disk.meter().look(cpu_s) == reason


def test_files_without_a_name_count_too() -> None:
    disk = Disk(Count(600, 1))
    meter = disk.meter()
    assert meter.look(1.0, lambda: 400) is None
    assert meter.look(2.0, lambda: 401) == "the quota of 1000 bytes is used up"


@pytest.mark.parametrize(
    ("at_start", "now", "reason"),
    [
        (FREE, (256 << 20) - 1, "the server's disk is nearly full"),
        (FREE, 256 << 20, None),
        (100 << 20, 60 << 20, None),  # it was nearly full before: half of what was left may go
        (100 << 20, 40 << 20, "the server's disk is nearly full"),
    ],
)
def test_the_disk_keeps_a_reserve(at_start: int, now: int, reason: str | None) -> None:
    disk = Disk(free=at_start)
    meter = disk.meter()
    disk.free = now
    assert meter.look(1.0) == reason


def test_who_is_past_his_quota_may_remove_files() -> None:
    quota, at_start = Usage(0, 0, 100, 5), Usage(500, 9, 100, 5)
    assert over(Count(500, 9), quota, at_start) is None
    assert over(Count(501, 9), quota, at_start) == "the quota of 100 bytes is used up"
    assert over(Count(500, 10), quota, at_start) == "the quota of 5 files is used up"


def test_counting_costs_a_part_of_the_time_only() -> None:
    disk = Disk(cost_s=1.0)
    meter = disk.meter()
    for tick in range(100):
        meter.look(float(tick + 1))
        disk.now += 1.0
    assert 4 <= disk.counts <= 6


def test_a_command_that_waits_is_counted_seldom_and_looked_at_seldom() -> None:
    disk = Disk()
    meter = disk.meter()
    meter.look(1.0)
    assert (disk.counts, meter.pause_s) == (1, BUSY_S)
    for _ in range(40):
        disk.now += 0.1
        meter.look(1.0)
    assert (disk.counts, meter.pause_s) == (3, IDLE_S)


@pytest.mark.parametrize(("written", "recounts"), [(Count(1 << 20, 64), 0), (Count(1 << 21, 1), 1), (Count(0, 65), 1)])
def test_the_ledger_is_told_when_it_is_far_off(written: Count, recounts: int) -> None:
    disk = Disk(written, Usage(0, 0, 1 << 30, 1000))
    assert disk.meter().look(1.0) is None
    assert disk.recounts == recounts


def test_files_that_cannot_be_counted_again_and_again_stop_it() -> None:
    disk = Disk()
    meter = disk.meter()
    disk.fails = [HomeUnavailable() for _ in range(9)]
    assert [meter.look(float(tick)) for tick in range(1, 5)] == [None] * 4
    reason = "its files cannot be counted: this account's home is not available; tell the administrator"
    assert meter.look(5.0) == reason
    disk.fails = []
    assert meter.look(6.0) is None
    disk.fails = [HomeUnavailable()]
    assert meter.look(7.0) is None  # the count of failures began anew


def test_a_ledger_that_is_busy_is_no_failure() -> None:
    disk = Disk()
    meter = disk.meter()
    disk.fails = [LedgerBusy() for _ in range(9)]
    assert [meter.look(float(tick)) for tick in range(1, 9)] == [None] * 8


@pytest.mark.parametrize(
    ("fails", "recounts", "slept", "said"),
    [
        ([], 1, 0, ""),
        ([LedgerBusy(), LedgerBusy()], 1, 2, ""),
        ([LedgerBusy() for _ in range(9)], 0, 4, "could not be recounted after its command; `homeport quota check`"),
        ([HomeUnavailable()], 0, 0, "could not be recounted after its command: this account's home is not available"),
    ],
)
def test_in_the_end_the_ledger_is_exact(
    fails: list[Exception], recounts: int, slept: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    meter = disk.meter()
    disk.fails = list(fails)
    meter.settle()
    assert (disk.recounts, len(disk.slept)) == (recounts, slept)
    assert said in caplog.text


@pytest.mark.parametrize(
    ("usage", "length"),
    [
        (Usage(10, 1, None, None), DISK),
        (Usage(10, 1, 1000, None), 1000),
        (Usage(2000, 1, 1000, None), 2000),
        (Usage(10, 1, 1 << 62, None), DISK),
    ],
)
def test_how_long_a_file_may_be(usage: Usage, length: int) -> None:
    assert Disk(known=usage).meter().file_bytes() == length
