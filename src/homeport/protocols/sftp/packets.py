"""Cutting a stream of bytes into SFTP packets: a length of four bytes before each (section 3).

The one rule: no more than one packet that is not whole is held, and none is longer than `max_bytes`.
"""

from __future__ import annotations

from homeport.protocols.sftp.constants import MAX_PACKET_BYTES
from homeport.protocols.sftp.wire import Malformed

_LENGTH = 4


class PacketReader:
    """Give it bytes, take packets. What it gives are views: into the very bytes that came, where they had it whole."""

    def __init__(self, max_bytes: int = MAX_PACKET_BYTES) -> None:
        self._max = max_bytes
        self._pieces: list[bytes | memoryview] = []
        self._have = 0
        self._need = _LENGTH  # bytes, before there is something to be done
        self.broken = False

    def receive(self, data: bytes) -> list[memoryview]:
        """The packets that are whole now, without their lengths. Raises Malformed; nothing can follow that."""
        if self.broken:
            raise Malformed("the stream of packets is broken")
        self._pieces.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        whole = memoryview(b"".join(self._pieces) if len(self._pieces) > 1 else data)
        packets, at = [], 0
        while True:
            end = at + _LENGTH
            if end > len(whole):
                self._need = _LENGTH
                break
            length = int.from_bytes(whole[at:end], "big")
            self._check(length)
            if end + length > len(whole):
                self._need = _LENGTH + length
                break
            packets.append(whole[end : end + length])
            at = end + length
        # A copy: what is left over must not keep all the rest in memory.
        self._pieces = [bytes(whole[at:])] if at < len(whole) else []
        self._have = len(whole) - at
        return packets

    def _check(self, length: int) -> None:
        if not 0 < length <= self._max:
            self.broken = True
            raise Malformed(f"a packet of {length} bytes; the most is {self._max}")
