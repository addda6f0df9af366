"""The two time services as functions from a datagram to its answer. The one rule: they read clocks and keep nothing."""

from __future__ import annotations

import functools
import time
import zoneinfo
from collections.abc import Callable
from datetime import datetime, tzinfo

from homeport.protocols import ntp, timetext
from homeport.servers.datagrams import Door, Peer
from homeport.servers.udp.host_clock import HostClock


class Zones:
    """The machine's time zones by name. Names that are not in its database are refused before a file is looked for."""

    def __init__(self) -> None:
        self._names = frozenset(zoneinfo.available_timezones())
        self._zone = functools.cache(zoneinfo.ZoneInfo)

    def __call__(self, name: str) -> tzinfo | None:
        """The zone, or None where there is no such zone."""
        return self._zone(name) if name in self._names else None


class TextTime:
    """Answers formats with the time; see protocols/timetext.py."""

    def __init__(self, zones: Callable[[str], tzinfo | None], now: Callable[[], datetime] | None = None) -> None:
        self._zones = zones
        self._now = now or _local_time

    def answer(self, data: bytes, _peer: Peer, _door: Door) -> bytes | None:
        """See Datagrams."""
        return timetext.answer(data, self._now(), self._zones)


class Sntp:
    """Answers SNTP's questions; see protocols/ntp.py."""

    def __init__(self, clock: HostClock, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self.clock = clock
        self._wall_ns = wall_ns

    def answer(self, data: bytes, _peer: Peer, _door: Door) -> bytes | None:
        """See Datagrams."""
        received = self._wall_ns()
        return ntp.answer(data, self.clock.read(), received, self._wall_ns())

    def over(self, data: bytes, _peer: Peer, _door: Door) -> bytes | None:
        """What an address hears once that asks too often."""
        return ntp.slow_down(data)


def _local_time() -> datetime:
    return datetime.now().astimezone()
