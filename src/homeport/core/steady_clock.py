"""A time that lasts from run to run and yet never jumps: for delays and bans that are kept in the database.

The one rule: it never runs backward, and setting the computer's clock does not move it. It is the time since boot plus
an offset that the first process of each boot fixes; after the next boot it goes on at the wall clock's time, or where
it stopped if that is later. Where there is no boot time (not on Linux), it is the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from homeport.core.schema import bans, boots, login_failures
from homeport.core.state import Database

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where time comes from: `wall` counts from the epoch, `since_boot` from the boot that `boot_id` names."""

    wall: Callable[[], float]
    since_boot: Callable[[], float]
    boot_id: str


def machine_clocks(boot_id_file: str = _BOOT_ID) -> Clocks:
    """The machine's own clocks."""
    try:
        with open(boot_id_file, encoding="ascii") as file:
            return Clocks(time.time, lambda: time.clock_gettime(time.CLOCK_BOOTTIME), file.read().strip())
    except OSError:
        return Clocks(time.time, time.time, "wall clock")


class SteadyClock:
    """Seconds since about the epoch, the same for all processes of one boot that share `database`."""

    def __init__(self, database: Database, clocks: Clocks) -> None:
        self._database = database
        self._clocks = clocks
        self._offset: float | None = None

    def now(self) -> float:
        """Asks the database the first time only; raises StateUnavailable then."""
        if self._offset is None:
            self._offset = self._agreed_offset()
        return self._offset + self._clocks.since_boot()

    def shown(self, moment: float) -> float:
        """What the wall clock shows at `moment` of this clock, if nobody sets it until then."""
        return self._clocks.wall() + moment - self.now()

    def _agreed_offset(self) -> float:
        offset = self._clocks.wall() - self._clocks.since_boot()
        with self._database.write() as connection:
            offset = max(offset, _latest(connection) - self._clocks.since_boot())
            boot = {"id": self._clocks.boot_id, "offset": offset}
            connection.execute(self._database.insert(boots).values(boot).on_conflict_do_nothing())
            agreed: float = connection.execute(select(boots.c.offset).where(boots.c.id == boot["id"])).scalar_one()
        return agreed


def _latest(connection: Connection) -> float:
    """The latest moment that anything was written, so that time goes on from there."""
    columns = (bans.c.created_at, login_failures.c.last_at)
    return max(connection.execute(select(func.max(column))).scalar() or 0.0 for column in columns)
