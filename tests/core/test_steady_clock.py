"""Time that goes on through restarts, reboots and whoever sets the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert

from homeport.core.schema import bans
from homeport.core.state import Database
from homeport.core.steady_clock import Clocks, SteadyClock, machine_clocks

HOUR = 3600.0
YEAR = 365 * 86400.0


class Machine:
    """A computer whose clock can be set and which can boot."""

    def __init__(self) -> None:
        self.wall, self.up, self.boots = 1.8e9, 50.0, 1

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.up, f"boot {self.boots}")

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds

    def boot(self, off_s: float = 60.0) -> None:
        self.wall += off_s
        self.up = 5.0
        self.boots += 1


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_at_first_it_is_the_wall_clock(database: Database, machine: Machine) -> None:
    assert SteadyClock(database, machine.clocks()).now() == pytest.approx(1.8e9)


@pytest.mark.parametrize("set_by", [-YEAR, -HOUR, HOUR, YEAR])
def test_setting_the_clock_moves_it_in_no_process(
    database: Database, open_again: Callable[[], Database], machine: Machine, set_by: float
) -> None:
    clock = SteadyClock(database, machine.clocks())
    before = clock.now()
    machine.wall += set_by
    machine.wait(10)
    for each in (clock, SteadyClock(open_again(), machine.clocks())):
        assert each.now() - before == pytest.approx(10)
        assert each.shown(before) == pytest.approx(machine.wall - 10)


def test_after_a_boot_it_goes_on_at_the_wall_clock(database: Database, machine: Machine) -> None:
    before = SteadyClock(database, machine.clocks()).now()
    machine.boot(off_s=1000)
    assert SteadyClock(database, machine.clocks()).now() - before == pytest.approx(1000)


def test_after_a_boot_with_a_clock_gone_wrong_it_does_not_run_backward(database: Database, machine: Machine) -> None:
    """As on a board without a battery, which begins in 1970."""
    now = SteadyClock(database, machine.clocks()).now()
    with database.write() as connection:
        connection.execute(insert(bans).values(kind="address", subject="192.0.2.1", reason="", created_at=now))
    machine.boot()
    machine.wall = 0.0
    clock = SteadyClock(database, machine.clocks())
    assert clock.now() == pytest.approx(now)
    machine.wall = 1.9e9
    machine.wait(10)
    assert clock.now() == pytest.approx(now + 10)


def test_the_machines_clocks_know_this_boot() -> None:
    clocks = machine_clocks()
    assert clocks.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert clocks.wall() == pytest.approx(time.time(), abs=60)
    assert clocks.since_boot() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=60)


def test_where_no_boot_is_known_it_is_the_wall_clock(database: Database, tmp_path: Path) -> None:
    clocks = machine_clocks(str(tmp_path / "absent"))
    assert clocks.boot_id == "wall clock"
    assert SteadyClock(database, clocks).now() == pytest.approx(time.time(), abs=60)
