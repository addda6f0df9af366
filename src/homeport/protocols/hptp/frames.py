"""Frames: a header of 12 bytes in network order (payload length u32, type u8, flags u8, zero u16, stream u32).

The one rule: a length is believed only after it was checked against what this type may carry; DATA is handed on as it
comes and never gathered, so that a peer's memory here is one control payload.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from struct import Struct

from homeport.protocols.hptp.faults import FaultCode, ProtocolFault
from homeport.protocols.hptp.strict_json import MAX_CONTROL_BYTES

HEADER = Struct("!IBBHI")
HEADER_BYTES = HEADER.size
MAX_PAYLOAD_BYTES = 1024 * 1024
PING_BYTES = (8, 16 * 1024)
MAX_STREAM = (1 << 31) - 1


class FrameType(enum.IntEnum):
    """What a frame is. Numbers below 16 concern the connection, the others a stream."""

    HELLO = 1
    AUTH = 2
    PING = 3
    PONG = 4
    GOAWAY = 5
    WINDOW = 6
    REQUEST = 16
    DATA = 17
    END = 18
    HEAD = 19
    ITEMS = 20
    RESULT = 21
    ERROR = 22
    CANCEL = 23


_TYPES: dict[int, FrameType] = {kind.value: kind for kind in FrameType}
_SIZES = {FrameType.PING: PING_BYTES, FrameType.PONG: PING_BYTES, FrameType.WINDOW: (4, 4)}
_DATA = FrameType.DATA

Piece = tuple[FrameType, int, memoryview]
"""Type, stream, payload: whole, but for DATA, which is handed on in the pieces in which it comes."""


class FrameReader:
    """Cuts what comes into frames. `max_payload` bounds DATA, 64 KiB and `max_control` everything else."""

    __slots__ = ("_data_left", "_data_stream", "_held", "max_control", "max_payload")

    def __init__(self, max_payload: int, max_control: int = MAX_CONTROL_BYTES) -> None:
        self.max_payload = max_payload
        self.max_control = max_control
        self._held = bytearray()  # a header or a control payload that has not come whole
        self._data_left = 0
        self._data_stream = 0

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._held or self._data_left)

    @property
    def data_left(self) -> int:
        """Bytes of DATA that are still to come of the frame that has begun."""
        return self._data_left

    def read(self, data: bytes | memoryview) -> Iterator[Piece]:
        """The frames and pieces of DATA in `data`, which must not change afterwards. Raises ProtocolFault.

        To be run to its end before the next call.
        """
        if self._held:
            self._held += data
            data = bytes(self._held)
            self._held.clear()
        view, end, at = memoryview(data), len(data), 0
        while at < end:
            if self._data_left:
                piece = view[at : at + self._data_left]
                at += len(piece)
                self._data_left -= len(piece)
                yield _DATA, self._data_stream, piece
                continue
            if end - at < HEADER_BYTES:
                break
            kind, length, stream = self._header(data, at)
            if kind is _DATA:
                self._data_left, self._data_stream = length, stream
                at += HEADER_BYTES
                continue
            behind = at + HEADER_BYTES + length
            if behind > end:
                break
            yield kind, stream, view[at + HEADER_BYTES : behind]
            at = behind
        self._held += view[at:]

    def _header(self, data: bytes | memoryview, at: int) -> tuple[FrameType, int, int]:
        length, number, flags, zero, stream = HEADER.unpack_from(data, at)
        kind = _TYPES.get(number)
        if kind is None:
            raise ProtocolFault(FaultCode.FRAME_UNKNOWN, f"a frame of type {number}")
        if flags or zero:
            raise ProtocolFault(FaultCode.FRAME_MALFORMED, f"a {kind.name} frame with flags that this version has not")
        if (sizes := _SIZES.get(kind)) is not None:
            least, most = sizes
        else:
            least, most = (1, self.max_payload) if kind is _DATA else (0, self.max_control)
        if length > most:
            raise ProtocolFault(FaultCode.FRAME_TOO_LONG, f"a {kind.name} frame of {length} bytes")
        if length < least:
            raise ProtocolFault(FaultCode.FRAME_MALFORMED, f"a {kind.name} frame of {length} bytes")
        if stream > MAX_STREAM or ((not stream) != (kind < FrameType.WINDOW) and kind is not FrameType.WINDOW):
            raise ProtocolFault(FaultCode.STREAM_MALFORMED, f"a {kind.name} frame on stream {stream}")
        return kind, length, stream
