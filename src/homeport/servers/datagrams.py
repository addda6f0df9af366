"""Datagrams in and out: sockets made from settings, emptied in batches, with what every UDP service must refuse.

The one rule: no datagram, however it was made, raises or holds up the loop; whatever gets no answer is counted. A
service answers one datagram with at most one, no longer than the rules say, so that nobody can aim it at a victim.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from homeport.servers.lifecycle import Address
from homeport.servers.listening import Wish, open_bound, open_each
from homeport.servers.networks import Networks
from homeport.servers.request_rates import RequestRates, Verdict

_log = logging.getLogger(__name__)

_AT_ONCE = 64  # datagrams before others have their turn; the kernel keeps the rest
_BUFFER_BYTES = 1 << 20  # asked of the kernel for each socket: a thousand datagrams may come at once
_LOG_EVERY_S = 60.0
# Linux's numbers: without them a socket on all addresses also gets what is sent to groups that others have joined.
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29

# Services that answer whatever comes: a datagram "from" them would bounce to and fro for ever. 0 is no port.
ECHOING_PORTS = frozenset({0, 7, 13, 17, 19, 37, 53, 123})

Peer = Any  # a socket's address: (host, port) for IPv4, with flow and scope for IPv6
Answer = Callable[[bytes, Peer, "Door"], bytes | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is refused before a service sees it. `reply_bytes`: an answer is no longer than the larger of this and its
    request; None leaves that to the service. `refused_ports` are source ports beside the service's own.
    """

    max_bytes: int = 1472
    per_s: float = 100.0
    burst: float = 200.0
    reply_bytes: int | None = 0
    refused_ports: frozenset[int] = ECHOING_PORTS
    networks: Networks = field(default_factory=Networks)


@dataclass(slots=True)
class Counts:
    """What became of the datagrams that came."""

    received: int = 0
    answered: int = 0
    denied: int = 0  # by network or by source port
    over_rate: int = 0
    too_long: int = 0
    unanswered: int = 0  # the service had nothing to say
    reply_too_long: int = 0
    unsent: int = 0  # the kernel did not take the answer
    failed: int = 0  # the service raised

    def as_object(self) -> dict[str, int]:
        """For `status`."""
        return asdict(self)


def open_datagrams(wish: Wish) -> list[tuple[Address, socket.socket]]:
    """One UDP socket for each host of `wish`, all on one port. Raises OSError and leaves nothing open."""
    return open_each(wish, _open)


def _open(wish: Wish, host: str, port: int) -> tuple[Address, socket.socket] | None:
    made = open_bound(host, port, socket.SOCK_DGRAM, _prepare)
    return None if made is None else (Address(wish.service, host, made.getsockname()[1], transport="udp"), made)


def _prepare(made: socket.socket) -> None:
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        made.setsockopt(socket.SOL_SOCKET, buffer, _BUFFER_BYTES)
    v6 = made.family == socket.AF_INET6
    level, option = (socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL) if v6 else (socket.IPPROTO_IP, _IP_MULTICAST_ALL)
    with contextlib.suppress(OSError):
        made.setsockopt(level, option, 0)


class Door:
    """One socket. A service keeps it to send later what nobody asked for at that moment."""

    __slots__ = ("_counts", "_socket", "port")

    def __init__(self, opened: socket.socket, counts: Counts) -> None:
        self._socket = opened
        self._counts = counts
        self.port: int = opened.getsockname()[1]

    def send(self, data: bytes, peer: Peer) -> bool:
        """Send one datagram, or drop it where the kernel does not take it; never raises."""
        try:
            self._socket.sendto(data, peer)
        except OSError:
            self._counts.unsent += 1
            return False
        return True


class Datagrams:
    """All sockets of one UDP service. `answer` gets what the rules let in; `over` (optional) the first datagram of an
    address above its rate. What they return is sent back, by the same rules.
    """

    def __init__(
        self,
        opened: Sequence[tuple[Address, socket.socket]],
        rules: Rules,
        answer: Answer,
        *,
        over: Answer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.addresses = tuple(address for address, _ in opened)
        self.counts = Counts()
        self._sockets = [made for _, made in opened]
        self._doors = {made.fileno(): (made, Door(made, self.counts)) for made in self._sockets}
        self._answer = answer
        self._over = over
        self._clock = clock
        self.set_rules(rules)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._quiet_until = 0.0

    def set_rules(self, rules: Rules) -> None:
        """Go by these from now on; whoever was over the rate starts anew."""
        self._rules = rules
        self._rates = RequestRates(rules.per_s, rules.burst)
        self._refused_ports = rules.refused_ports | {address.port for address in self.addresses}

    def open(self) -> None:
        """Let datagrams in."""
        self._loop = asyncio.get_running_loop()
        for fd in self._doors:
            self._loop.add_reader(fd, self._readable, fd)

    def close(self) -> None:
        """Let none in any more. Works twice."""
        for fd, (made, _) in self._doors.items():
            if self._loop is not None:
                self._loop.remove_reader(fd)
            made.close()
        self._doors = {}
        self.addresses = ()

    def _readable(self, fd: int) -> None:
        made, door = self._doors[fd]
        now, limit = self._clock(), self._rules.max_bytes + 1
        for _ in range(_AT_ONCE):
            try:
                data, peer = made.recvfrom(limit)
            except BlockingIOError:
                return
            except OSError:
                continue  # what the network says of an answer that nobody wanted (ECONNREFUSED)
            self.counts.received += 1
            reply = self._take(data, peer, door, now)
            if reply is not None and door.send(reply, peer):
                self.counts.answered += 1

    def _take(self, data: bytes, peer: Peer, door: Door, now: float) -> bytes | None:
        """The answer to one datagram, after everything that the rules refuse."""
        counts = self.counts
        host, port = peer[0], peer[1]
        if port in self._refused_ports or not self._rules.networks.admits(host):
            counts.denied += 1
            return None
        if len(data) > self._rules.max_bytes:
            counts.too_long += 1
            return None
        verdict = self._rates.take(host, now)
        answer: Answer | None = self._answer
        if verdict is not Verdict.ALLOWED:
            counts.over_rate += 1
            answer = self._over if verdict is Verdict.FIRST_OVER else None
        if answer is None:
            return None
        return self._asked(answer, data, peer, door)

    def _asked(self, answer: Answer, data: bytes, peer: Peer, door: Door) -> bytes | None:
        try:
            reply = answer(data, peer, door)
        except Exception:  # noqa: BLE001 - logged, rarely; the service goes on
            self.counts.failed += 1
            self._complain(peer)
            return None
        if reply is None:
            self.counts.unanswered += 1
            return None
        least = self._rules.reply_bytes
        if least is not None and len(reply) > max(least, len(data)):
            self.counts.reply_too_long += 1
            return None
        return reply

    def _complain(self, peer: Peer) -> None:
        """Log the exception that is being handled, but not for everybody who can cause it."""
        now = self._clock()
        if now >= self._quiet_until:
            self._quiet_until = now + _LOG_EVERY_S
            name = self.addresses[0].service if self.addresses else "udp"
            _log.exception("%s: a datagram from %s could not be answered", name, peer[0])
