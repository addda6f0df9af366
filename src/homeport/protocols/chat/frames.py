"""What stands in a datagram of the chat: a header in the clear, and sealed frames.

    datagram = version (1) session (16) number (8) sealed( frames ) tag (16)        at most 1200 bytes
    ACK       1  next (8) others (8)        every segment before `next` has come, and of those after it the bits' ones
    SEGMENT   2  number (8) flags (1) length (2) data     a part of a message; flag 1: the last one
    PING      3  eight bytes                asks for an ACK
    CHALLENGE 4  eight bytes                asks whether the other side can be reached where its datagram came from
    RESPONSE  5  the challenge's eight
    CLOSE     6  length (2) reason          UTF-8

The one rule: whatever bytes come in, what comes out is a list of whole frames or the error BadDatagram.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

VERSION = 1
SESSION_BYTES = 16
TAG_BYTES = 16
MAX_BYTES = 1200
PROOF_BYTES = 8
_HEADER = struct.Struct(f">B{SESSION_BYTES}sQ")
HEADER_BYTES = _HEADER.size
MAX_PLAIN_BYTES = MAX_BYTES - HEADER_BYTES - TAG_BYTES
ACK_REACH = 64  # segments after the first missing one that an ACK can tell of

_ACK = struct.Struct(">BQQ")
_SEGMENT = struct.Struct(">BQBH")
_PROOF = struct.Struct(f">B{PROOF_BYTES}s")
_CLOSE = struct.Struct(">BH")
ACK_BYTES = _ACK.size
SEGMENT_HEAD_BYTES = _SEGMENT.size
PART_BYTES = MAX_PLAIN_BYTES - ACK_BYTES - SEGMENT_HEAD_BYTES
PROOF_FRAME_BYTES = _PROOF.size
# The smallest datagram in which a challenge goes out; nothing shorter than it is answered by one.
CHALLENGE_BYTES = HEADER_BYTES + PROOF_FRAME_BYTES + TAG_BYTES
_LAST = 1
_MAX_REASON = 200


class BadDatagram(Exception):
    """A datagram, or what was sealed in it, that follows no rule; the text says which."""


@dataclass(frozen=True, slots=True)
class Header:
    session: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Ack:
    """Every segment before `next_one` has come; bit i of `others`: `next_one` + 1 + i has come too."""

    next_one: int
    others: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    number: int
    data: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class Ping:
    proof: bytes


@dataclass(frozen=True, slots=True)
class Challenge:
    proof: bytes


@dataclass(frozen=True, slots=True)
class Response:
    proof: bytes


@dataclass(frozen=True, slots=True)
class Close:
    reason: str


Frame = Ack | Segment | Ping | Challenge | Response | Close
_PROOFS: dict[int, type[Ping | Challenge | Response]] = {3: Ping, 4: Challenge, 5: Response}
_PROOF_TYPES = {kind: number for number, kind in _PROOFS.items()}


def pack_header(header: Header) -> bytes:
    """The header as it is sent, and as it is authenticated."""
    return _HEADER.pack(VERSION, header.session, header.number)


def read_header(datagram: bytes) -> Header:
    """The header of a datagram of this version; raises BadDatagram."""
    if not HEADER_BYTES + TAG_BYTES <= len(datagram) <= MAX_BYTES or datagram[0] != VERSION:
        raise BadDatagram("no datagram of this chat")
    _, session, number = _HEADER.unpack_from(datagram)
    return Header(session, number)


def pack_frame(frame: Frame) -> bytes:
    """A frame as bytes."""
    match frame:
        case Ack(next_one, others):
            return _ACK.pack(1, next_one, others)
        case Segment(number, data, is_last):
            return _SEGMENT.pack(2, number, _LAST if is_last else 0, len(data)) + data
        case Close(reason):
            text = reason.encode()[:_MAX_REASON]
            return _CLOSE.pack(6, len(text)) + text
        case _:
            return _PROOF.pack(_PROOF_TYPES[type(frame)], frame.proof)


def read_frames(plain: bytes) -> list[Frame]:
    """All frames of a datagram; raises BadDatagram when one is cut or unknown."""
    frames: list[Frame] = []
    at = 0
    try:
        while at < len(plain):
            frame, at = _read_one(plain, at)
            frames.append(frame)
    except struct.error as error:
        raise BadDatagram("a frame is cut") from error
    return frames


def _read_one(plain: bytes, at: int) -> tuple[Frame, int]:
    kind = plain[at]
    if kind == 1:
        _, next_one, others = _ACK.unpack_from(plain, at)
        return Ack(next_one, others), at + _ACK.size
    if kind == 2:
        _, number, flags, length = _SEGMENT.unpack_from(plain, at)
        data, at = _piece(plain, at + _SEGMENT.size, length)
        return Segment(number, data, flags & _LAST == _LAST), at
    if kind in _PROOFS:
        _, proof = _PROOF.unpack_from(plain, at)
        return _PROOFS[kind](proof), at + _PROOF.size
    if kind == 6:
        _, length = _CLOSE.unpack_from(plain, at)
        text, at = _piece(plain, at + _CLOSE.size, length)
        return Close(text.decode("utf-8", "replace")), at
    raise BadDatagram(f"no frame is of type {kind}")


def _piece(plain: bytes, at: int, length: int) -> tuple[bytes, int]:
    piece = plain[at : at + length]
    if len(piece) < length:
        raise BadDatagram("a frame is cut")
    return piece, at + length
