"""What SFTP says of a file (section 5): any of size, owner, mode and times. Times are whole seconds."""

from __future__ import annotations

import struct
from typing import NamedTuple

from homeport.protocols.sftp.constants import Has
from homeport.protocols.sftp.wire import Malformed, Reader, u32, u64

_EXTENDED_MAX = 64
# Plain numbers: operators of enum.Flag cost a microsecond each, and every file's attributes pass here.
_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = (flag.value for flag in Has)
_ALL = _SIZE | _OWNER | _MODE | _TIMES
_WHOLE = struct.Struct(">IQIIIII")
_LAST_SECOND = 2**32 - 1


class Attributes(NamedTuple):
    """None: not said. `mode` has the kind of file in its upper bits, as stat(2)."""

    size: int | None = None
    owner: tuple[int, int] | None = None
    mode: int | None = None
    times: tuple[int, int] | None = None  # last read, last changed

    @classmethod
    def read(cls, reader: Reader) -> Attributes:
        """Those that follow in a packet. Raises Malformed."""
        flags = reader.u32()
        size = reader.u64() if flags & _SIZE else None
        owner = (reader.u32(), reader.u32()) if flags & _OWNER else None
        mode = reader.u32() if flags & _MODE else None
        times = (reader.u32(), reader.u32()) if flags & _TIMES else None
        if flags & _EXTENDED:
            count = reader.u32()
            if count > _EXTENDED_MAX:
                raise Malformed(f"{count} extended attributes are too many")
            for _ in range(count):
                reader.bytes_()
                reader.bytes_()
        return cls(size, owner, mode, times)

    def encoded(self) -> bytes:
        """As they stand in a packet. Times that four bytes cannot hold become the nearest that they can."""
        if self.size is not None and self.owner is not None and self.mode is not None and self.times is not None:
            return _WHOLE.pack(_ALL, self.size, *self.owner, self.mode, *map(_second, self.times))
        flags, parts = 0, b""
        if self.size is not None:
            flags, parts = flags | _SIZE, parts + u64(self.size)
        if self.owner is not None:
            flags, parts = flags | _OWNER, parts + u32(self.owner[0]) + u32(self.owner[1])
        if self.mode is not None:
            flags, parts = flags | _MODE, parts + u32(self.mode)
        if self.times is not None:
            flags, parts = flags | _TIMES, parts + b"".join(u32(_second(time)) for time in self.times)
        return u32(flags) + parts


def _second(time: int) -> int:
    return min(max(0, time), _LAST_SECOND)
