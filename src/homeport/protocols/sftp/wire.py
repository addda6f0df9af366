"""Reading what SFTP packets are made of: numbers in network order, and strings with their length before them.

The one rule: nothing is read beyond the packet; whatever does not fit is Malformed, never another exception.
"""

from __future__ import annotations

import struct

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class Malformed(Exception):
    """A packet that cannot be what it says; the text says why."""


class Reader:
    """Reads a packet from its beginning. `bytes_` and `rest` are views into the packet: no copies."""

    __slots__ = ("_at", "_packet")

    def __init__(self, packet: memoryview) -> None:
        self._packet = packet
        self._at = 0

    def u8(self) -> int:
        """One byte."""
        return self._take(1)[0]

    def u32(self) -> int:
        """Four bytes."""
        value: int = _U32.unpack(self._take(4))[0]
        return value

    def u64(self) -> int:
        """Eight bytes."""
        value: int = _U64.unpack(self._take(8))[0]
        return value

    def bytes_(self) -> memoryview:
        """A string, as bytes."""
        return self._take(self.u32())

    def text(self) -> str:
        """A string, as a name: bytes that are no UTF-8 become surrogates (PEP 383) and come back unchanged."""
        return str(self.bytes_(), "utf-8", "surrogateescape")

    def rest(self) -> memoryview:
        """All that is left."""
        return self._take(len(self._packet) - self._at)

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._packet)

    def _take(self, size: int) -> memoryview:
        end = self._at + size
        if end > len(self._packet):
            raise Malformed("the packet ends too early")
        taken = self._packet[self._at : end]
        self._at = end
        return taken


def u32(value: int) -> bytes:
    """Four bytes."""
    return _U32.pack(value)


def u64(value: int) -> bytes:
    """Eight bytes."""
    return _U64.pack(value)


def string(value: bytes) -> bytes:
    """`value` with its length before it."""
    return _U32.pack(len(value)) + value


def text(value: str) -> bytes:
    """A name or a sentence as a string; see Reader.text."""
    return string(value.encode("utf-8", "surrogateescape"))
