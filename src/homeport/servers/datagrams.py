"""Datagrams in and out: sockets made from settings, emptied in batches, with what every UDP service must refuse.

The one rule: no datagram, however it was made, raises or holds up the loop; whatever gets no answer is counted. A
service answers one datagram with at most one, no longer than the rules say, so that nobody can aim it at a victim. An
answer comes from the address that was asked, or the client would not take it on a machine that has several.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import sys
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
_IP_PKTINFO, _IPV6_RECVPKTINFO, _IPV6_PKTINFO = 8, 49, 50
_IN_PKTINFO = struct.Struct("=i4s4s")  # ip(7): the interface, our address, where it was sent to
_IN6_PKTINFO = struct.Struct("=16sI")  # ipv6(7): our address, the interface
_GROUP = 0xFF  # how the addresses of IPv6 groups begin
_ANCILLARY_BYTES = socket.CMSG_SPACE(_IN6_PKTINFO.size)

# Services that answer whatever comes: a datagram "from" them would bounce to and fro for ever. 0 is no port.
ECHOING_PORTS = frozenset({0, 7, 13, 17, 19, 37, 53, 123})

Peer = Any  # a socket's address: (host, port) for IPv4, with flow and scope for IPv6
Ancillary = tuple[int, int, bytes]  # level, type and content of what goes with a datagram
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
    if made.family == socket.AF_INET6:
        options = ((socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0), (socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1))
    else:
        options = ((socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0), (socket.IPPROTO_IP, _IP_PKTINFO, 1))
    for option in options if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            made.setsockopt(*option)


def _source_of(ancillary: Sequence[Ancillary]) -> Ancillary | None:
    """What makes an answer come from the address that was asked; None where the kernel did not say which that was."""
    for level, kind, content in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and len(content) == _IN_PKTINFO.size:
            return level, kind, _IN_PKTINFO.pack(0, _IN_PKTINFO.unpack(content)[1], bytes(4))
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO) and len(content) == _IN6_PKTINFO.size:
            asked = _IN6_PKTINFO.unpack(content)[0]
            return None if asked[0] == _GROUP else (level, kind, _IN6_PKTINFO.pack(asked, 0))
    return None


class Door:
    """One socket, and the address of ours that was asked. A service keeps it to send later what nobody asked for at
    that moment. Two are equal when the same datagram could come out of both.
    """

    __slots__ = ("_counts", "_socket", "_source", "port")

    def __init__(self, opened: socket.socket, port: int, counts: Counts, source: Ancillary | None = None) -> None:
        self._socket = opened
        self._counts = counts
        self._source = source
        self.port = port

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Door) and self._socket is other._socket and self._source == other._source

    def __hash__(self) -> int:
        return hash((id(self._socket), self._source))

    def send(self, data: bytes, peer: Peer) -> bool:
        """Send one datagram, or drop it where the kernel does not take it; never raises."""
        try:
            if self._source is None:
                self._socket.sendto(data, peer)
            else:
                self._socket.sendmsg((data,), (self._source,), 0, peer)
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
        self._doors = {made.fileno(): (made, made.getsockname()[1]) for made in self._sockets}
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
        made, port = self._doors[fd]
        now, limit = self._clock(), self._rules.max_bytes + 1
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, peer = made.recvmsg(limit, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # what the network says of an answer that nobody wanted (ECONNREFUSED)
            self.counts.received += 1
            door = Door(made, port, self.counts, _source_of(ancillary))
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
