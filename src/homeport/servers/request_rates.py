"""How many datagrams an address may send: one number for each, in a table that cannot grow without end.

The one rule: over any time, no address (IPv6: no /64) gets more than the burst plus the rate times that time; when the
table is full of busy addresses, all others share one place in it.
"""

from __future__ import annotations

import enum
import socket

_IPV6_PREFIX_BYTES = 8  # what one customer gets
_PURGE_EVERY_S = 1.0
_SHARED = ""


class Verdict(enum.IntEnum):
    """What to do with a datagram. `FIRST_OVER` is the first one above the rate: a protocol may say so, once."""

    OVER = 0
    ALLOWED = 1
    FIRST_OVER = 2


class RequestRates:
    """`per_s` datagrams a second, `burst` at once, from each of `max_addresses` addresses."""

    def __init__(self, per_s: float, burst: float, max_addresses: int = 65536) -> None:
        self._cost_s = 1.0 / per_s
        self._depth_s = burst / per_s
        self._max_addresses = max_addresses
        self._full_at: dict[str | bytes, float] = {}  # when each address has its whole burst again
        self._warned: set[str | bytes] = set()
        self._purge_at = 0.0

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, host: str, now: float) -> Verdict:
        """Count one datagram from `host` at `now` (monotonic seconds)."""
        key = _key(host) if ":" in host else host
        full_at = self._full_at.get(key)
        if full_at is None:
            key = self._place_for(key, now)
            full_at = self._full_at.get(key, now)
        full_at = (full_at if full_at > now else now) + self._cost_s
        if full_at - now > self._depth_s:
            return self._over(key)
        if self._warned:
            self._warned.discard(key)
        self._full_at[key] = full_at
        return Verdict.ALLOWED

    def _over(self, key: str | bytes) -> Verdict:
        if key in self._warned:
            return Verdict.OVER
        self._warned.add(key)
        return Verdict.FIRST_OVER

    def _place_for(self, key: str | bytes, now: float) -> str | bytes:
        if len(self._full_at) < self._max_addresses:
            return key
        if now >= self._purge_at:
            self._purge_at = now + _PURGE_EVERY_S
            self._full_at = {other: full_at for other, full_at in self._full_at.items() if full_at > now}
            self._warned &= self._full_at.keys()
        return key if len(self._full_at) < self._max_addresses else _SHARED


def _key(host: str) -> str | bytes:
    try:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:_IPV6_PREFIX_BYTES]
    except OSError:
        return host
