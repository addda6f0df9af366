from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from homeport.servers.deadlines import Deadlines


class FakeHandle:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """Time stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None], FakeHandle]] = []
        self.armed = 0

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> FakeHandle:
        handle = FakeHandle()
        self.armed += 1
        self.timers.append((at, call, handle))
        return handle

    def move_to(self, now: float) -> None:
        while due := [timer for timer in self.timers if timer[0] <= now and not timer[2].cancelled]:
            timer = min(due, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = now


def deadlines() -> tuple[FakeLoop, Deadlines]:
    loop = FakeLoop()
    return loop, Deadlines(cast("asyncio.AbstractEventLoop", cast(Any, loop)))


def test_it_comes_once_and_in_order() -> None:
    loop, all_of_them = deadlines()
    came: list[str] = []
    late, early = all_of_them.new(lambda: came.append("late")), all_of_them.new(lambda: came.append("early"))
    late.set(20)
    early.set(10)
    loop.move_to(109)
    assert came == []
    loop.move_to(110)
    assert came == ["early"]
    loop.move_to(200)
    assert came == ["early", "late"]


def test_moving_it_later_arms_no_timer() -> None:
    loop, all_of_them = deadlines()
    came: list[float] = []
    idle = all_of_them.new(lambda: came.append(loop.now))
    idle.set(10)
    for second in range(1, 9):
        loop.move_to(100.0 + second)
        idle.set(10)
    assert loop.armed == 1
    loop.move_to(117)
    assert came == []
    loop.move_to(118)
    assert came == [118]


def test_moving_it_earlier_counts_and_the_old_time_does_nothing() -> None:
    loop, all_of_them = deadlines()
    came: list[float] = []
    deadline = all_of_them.new(lambda: came.append(loop.now))
    deadline.set(50)
    deadline.set(5)
    loop.move_to(104.9)
    assert came == []
    loop.move_to(300)
    assert came == [105]


def test_a_cleared_one_does_not_come() -> None:
    loop, all_of_them = deadlines()
    came: list[float] = []
    deadline = all_of_them.new(lambda: came.append(loop.now))
    deadline.set(5)
    deadline.clear()
    loop.move_to(110)
    deadline.set(5)
    loop.move_to(200)
    assert came == [115]


def test_nothing_comes_after_close() -> None:
    loop, all_of_them = deadlines()
    came: list[float] = []
    deadline = all_of_them.new(lambda: came.append(loop.now))
    deadline.set(5)
    all_of_them.close()
    all_of_them.close()
    loop.move_to(200)
    assert came == []


def test_one_deadline_may_set_another() -> None:
    loop, all_of_them = deadlines()
    came: list[float] = []
    second = all_of_them.new(lambda: came.append(loop.now))
    first = all_of_them.new(lambda: second.set(1))
    other = all_of_them.new(lambda: came.append(loop.now))
    first.set(5)
    other.set(50)
    loop.move_to(300)
    assert came == [106, 150]


def test_filing_what_was_cleared_is_nothing() -> None:
    loop, all_of_them = deadlines()
    all_of_them.file(all_of_them.new(lambda: None))
    assert loop.armed == 0


def test_a_discarded_one_is_forgotten_and_leaves_no_heap_behind() -> None:
    loop, all_of_them = deadlines()
    came: list[float] = []
    kept = all_of_them.new(lambda: came.append(loop.now))
    kept.set(50)
    for _ in range(1000):
        short = all_of_them.new(lambda: came.append(-1))
        short.set(30)
        short.discard()
        short.discard()
    assert len(all_of_them._heap) < 200
    never_set = all_of_them.new(lambda: came.append(-1))
    never_set.discard()
    loop.move_to(300)
    assert came == [150]
