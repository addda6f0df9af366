from __future__ import annotations

import pytest

from homeport.servers.haste import Haste


class Machine:
    """A clock, and how often the thread has waited for something."""

    def __init__(self) -> None:
        self.now, self.waits = 100.0, 7
        self.haste = Haste(clock=lambda: self.now, waits=lambda: self.waits)

    def work(self, seconds: float, waits: int = 0) -> str:
        self.now += seconds
        self.waits += waits
        return "done"


def test_quick_calls_stay_on_the_loop() -> None:
    machine = Machine()
    assert machine.haste.allows()
    assert machine.haste.run(machine.work, 0.0005, waits=1) == "done"
    assert machine.haste.allows()


def test_a_thread_that_lost_its_turn_has_not_waited_for_the_disk() -> None:
    machine = Machine()
    machine.haste.run(machine.work, 0.5)
    assert machine.haste.allows()


def test_a_disk_that_is_slow_now_and_then_changes_nothing() -> None:
    machine = Machine()
    for _ in range(100):
        machine.haste.run(machine.work, 0.04, waits=1)
        assert machine.haste.allows()
        machine.now += 5.0


@pytest.mark.parametrize(("took_s", "rests_s"), [(0.11, 1.0), (0.3, 20.0), (30.0, 60.0)])
def test_a_slow_disk_sends_short_calls_to_threads_until_the_time_is_earned(took_s: float, rests_s: float) -> None:
    machine = Machine()
    machine.haste.run(machine.work, took_s, waits=1)
    machine.now += rests_s * 0.9
    assert not machine.haste.allows()
    machine.now += rests_s * 0.2
    assert machine.haste.allows()


def test_a_call_that_fails_counts_too() -> None:
    machine = Machine()

    def fail() -> None:
        machine.work(0.2, waits=1)
        raise OSError("no")

    with pytest.raises(OSError, match=r"^no$"):
        machine.haste.run(fail)
    assert not machine.haste.allows()


def test_the_real_measure_tells_waiting_from_working() -> None:
    import threading

    haste = Haste()
    haste.run(threading.Event().wait, 0.15)
    assert not haste.allows()
