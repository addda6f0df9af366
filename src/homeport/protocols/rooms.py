"""Buffers that are used again as soon as nobody looks at them: memory that is new costs more than what is done with it.

The one rule: a buffer is never handed out while a memoryview of it is alive, in whatever thread; nobody gives one back.
"""

from __future__ import annotations

from collections import deque

_LOOKS = 2  # at buffers that may still be in use, before there is a new one


class Rooms:
    """Buffers of `size` bytes, of which `most` are kept. Whoever takes one makes a memoryview of it at once."""

    __slots__ = ("_kept", "_most", "size")

    def __init__(self, size: int, most: int) -> None:
        self.size = size
        self._most = most
        self._kept: deque[bytearray] = deque()  # the one that was taken longest ago first

    def take(self) -> bytearray:
        """One that is free, with whatever was in it."""
        for _ in range(min(_LOOKS, len(self._kept))):
            self._kept.rotate(-1)
            if _is_free(self._kept[-1]):
                return self._kept[-1]
        room = bytearray(self.size)
        if len(self._kept) < self._most:
            self._kept.append(room)
        return room


def _is_free(room: bytearray) -> bool:
    """Whether there is no memoryview of it: a bytearray that has one does not let its size be changed."""
    try:
        room.pop()
    except BufferError:
        return False
    room.append(0)
    return True
