from __future__ import annotations

import threading
import time

import pytest

from homeport.servers.haste import Awake, Haste


class Machine:
    """A clock, and for how long the thread has worked or could have."""

    def __init__(self) -> None:
        self.now, self.awake = 100.0, 7.0
        self.haste = Haste(clock=lambda: self.now, awake=lambda: self.awake)

    def work(self, seconds: float, slept: float = 0.0) -> str:
        self.now += seconds
        self.awake += seconds - slept
        return "done"


def test_quick_calls_stay_on_the_loop() -> None:
    machine = Machine()
    assert machine.haste.allows()
    assert machine.haste.run(machine.work, 0.0005, slept=0.0005) == "done"
    assert machine.haste.allows()


def test_a_thread_that_lost_its_turn_has_not_waited_for_the_disk() -> None:
    machine = Machine()
    machine.haste.run(machine.work, 0.5)
    machine.haste.run(machine.work, 0.5, slept=0.09)  # what it also slept is all that counts
    assert machine.haste.allows()
    machine.haste.run(machine.work, 0.5, slept=0.02)
    assert not machine.haste.allows()


def test_a_disk_that_is_slow_now_and_then_changes_nothing() -> None:
    machine = Machine()
    for _ in range(100):
        machine.haste.run(machine.work, 0.04, slept=0.04)
        assert machine.haste.allows()
        machine.now += 5.0


@pytest.mark.parametrize(("took_s", "rests_s"), [(0.11, 1.0), (0.3, 20.0), (30.0, 60.0)])
def test_a_slow_disk_sends_short_calls_to_threads_until_the_time_is_earned(took_s: float, rests_s: float) -> None:
    machine = Machine()
    machine.haste.run(machine.work, took_s, slept=took_s)
    machine.now += rests_s * 0.9
    assert not machine.haste.allows()
    machine.now += rests_s * 0.2
    assert machine.haste.allows()


def test_a_call_that_fails_counts_too() -> None:
    machine = Machine()

    def fail() -> None:
        machine.work(0.2, slept=0.2)
        raise OSError("no")

    with pytest.raises(OSError, match=r"^no$"):
        machine.haste.run(fail)
    assert not machine.haste.allows()


@pytest.mark.parametrize("schedule", ["/proc/thread-self/schedstat", "/proc/there-is-none"])
def test_the_real_measure_tells_sleeping_from_working(schedule: str) -> None:
    awake = Awake(schedule)
    before, slept_from = awake(), time.monotonic()
    threading.Event().wait(0.15)
    slept = time.monotonic() - slept_from - (awake() - before)
    assert slept > 0.05  # less than 0.15 on a machine that let the thread stand in the queue afterwards
    before, worked = awake(), time.thread_time() + 0.1
    while time.thread_time() < worked:
        pass
    assert awake() - before > 0.05  # the kernel counts a tick late


def test_a_real_wait_counts() -> None:
    haste = Haste()
    haste.run(threading.Event().wait, 0.15)
    assert not haste.allows()
