"""SNTP, RFC 5905 section 14: a server's answer (mode 4) to a client's question (mode 3), and what a client makes of it.

The one rule: nothing is answered but a whole question in mode 3, with exactly 48 bytes, the size of the smallest
question; modes 6 and 7, which once made servers into amplifiers, get nothing. Times are nanoseconds since 1970.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_PACKET = struct.Struct(">BBbbII4sQQQQ")
PACKET_BYTES = _PACKET.size
_VERSIONS = range(1, 5)
_CLIENT, _SERVER = 3, 4
_UNSYNCHRONISED = 3  # the leap indicator's "unknown"
UNSYNCHRONISED_STRATUM = 16
_EPOCH_S = 2_208_988_800  # from 1900 to 1970
_NS = 1_000_000_000
_ERA = 1 << 64
_SHORT_MAX = (1 << 32) - 1
_RATE = b"RATE"

assert PACKET_BYTES == 48


@dataclass(frozen=True, slots=True)
class Clock:
    """What a server knows of its own clock. `dispersion_s` is the largest error that it can have, `reference_ns` when
    it was last known to be right; `precision` is a power of two, in seconds.
    """

    synchronised: bool
    stratum: int = UNSYNCHRONISED_STRATUM
    leap: int = _UNSYNCHRONISED
    precision: int = -20
    dispersion_s: float = 16.0
    reference_id: bytes = b"\0\0\0\0"
    reference_ns: int = 0


class NtpError(Exception):
    """An answer that tells no time; the text says why."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one question found out, in seconds. `offset_s` above 0: the server's clock is ahead of ours, by so much give
    or take half of `delay_s`, the way there and back without the server's own time.
    """

    offset_s: float
    delay_s: float
    stratum: int
    synchronised: bool
    dispersion_s: float


def to_wire(ns: int) -> int:
    """A time as 64 bits: seconds since 1900 and their fraction, modulo 2^32 s (the era ends in 2036)."""
    seconds, rest = divmod(ns, _NS)
    return (((seconds + _EPOCH_S) << 32) + (rest << 32) // _NS) % _ERA


def from_wire(stamp: int, near_ns: int) -> int:
    """The time of 64 bits that is nearest to `near_ns`, whatever its era."""
    distance = (stamp - to_wire(near_ns)) % _ERA
    if distance >= _ERA // 2:
        distance -= _ERA
    return near_ns + distance * _NS // (1 << 32)


def answer(request: bytes, clock: Clock, received_ns: int, transmitted_ns: int) -> bytes | None:
    """The answer to `request`, which came at `received_ns`; None where none must be sent (section 7.3)."""
    asked = _question(request)
    if asked is None:
        return None
    version, poll, stamp = asked
    leap, stratum = (clock.leap, clock.stratum) if clock.synchronised else (_UNSYNCHRONISED, UNSYNCHRONISED_STRATUM)
    return _PACKET.pack(
        leap << 6 | version << 3 | _SERVER,
        stratum,
        poll,
        clock.precision,
        0,
        _short(clock.dispersion_s),
        clock.reference_id,
        to_wire(clock.reference_ns) if clock.reference_ns else 0,
        stamp,
        to_wire(received_ns),
        to_wire(transmitted_ns),
    )


def slow_down(request: bytes) -> bytes | None:
    """The kiss-o'-death RATE (section 7.4): the client is to ask less often. None as `answer`."""
    asked = _question(request)
    if asked is None:
        return None
    version, poll, stamp = asked
    head = _UNSYNCHRONISED << 6 | version << 3 | _SERVER
    return _PACKET.pack(head, 0, poll, 0, 0, 0, _RATE, 0, stamp, stamp, stamp)


def question(stamp: int) -> bytes:
    """A client's question. `stamp` is any 64 bits that nobody can guess: the answer repeats them, and proves itself so;
    the client's own clock need not be told (RFC 9109's reason, for the whole stamp).
    """
    return _PACKET.pack(4 << 3 | _CLIENT, 0, 0, 0, 0, 0, b"\0\0\0\0", 0, 0, 0, stamp)


def measure(reply: bytes, stamp: int, sent_ns: int, came_ns: int) -> Measurement:
    """What the `reply` to `question(stamp)`, sent and come at these times of ours, says. Raises NtpError."""
    if len(reply) < PACKET_BYTES:
        raise NtpError("the answer is too short to be one")
    head, stratum, _, _, _, dispersion, reference, _, origin, received, transmitted = _PACKET.unpack(
        reply[:PACKET_BYTES]
    )
    if head & 7 != _SERVER or origin != stamp:
        raise NtpError("the answer belongs to no question of ours")
    if stratum == 0:
        code = reference.rstrip(b"\0").decode("ascii", "backslashreplace")
        raise NtpError("the server asks to be asked less often" if reference == _RATE else f"the server says {code!r}")
    there = from_wire(received, sent_ns) - sent_ns
    back = from_wire(transmitted, came_ns) - came_ns
    inside = from_wire(transmitted, came_ns) - from_wire(received, came_ns)
    return Measurement(
        offset_s=(there + back) / 2 / _NS,
        delay_s=max(0, came_ns - sent_ns - inside) / _NS,
        stratum=stratum,
        synchronised=head >> 6 != _UNSYNCHRONISED and stratum < UNSYNCHRONISED_STRATUM,
        dispersion_s=dispersion / 65536,
    )


def _question(request: bytes) -> tuple[int, int, int] | None:
    """Version, poll and transmit timestamp of a client's question; longer ones carry extensions that we do not know."""
    if len(request) < PACKET_BYTES:
        return None
    head, _, poll, *_, stamp = _PACKET.unpack(request[:PACKET_BYTES])
    version = head >> 3 & 7
    return (version, poll, stamp) if head & 7 == _CLIENT and version in _VERSIONS else None


def _short(seconds: float) -> int:
    """NTP's short format, rounded up: an error is never told smaller than it is."""
    return min(_SHORT_MAX, -int(-seconds * 65536 // 1))
