"""What an SFTP client asks: each function makes one whole packet, its length included (section 6).

The one rule: paths and handles are bytes; what charset a path is in is the caller's affair.
"""

from __future__ import annotations

import struct

from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import VERSION, Open, Type
from homeport.protocols.sftp.wire import string, u32

_HEAD = struct.Struct(">IBI")
_SPAN = struct.Struct(">QI")
_BEHIND_LENGTH = 5  # type and request id


def init() -> bytes:
    """The first packet, the only one without a number."""
    return string(bytes([Type.INIT]) + u32(VERSION))


def open_file(number: int, path: bytes, how: Open) -> bytes:
    """Open `path` (section 6.3)."""
    return _packet(Type.OPEN, number, string(path), u32(how), Attributes().encoded())


def read(number: int, handle: bytes, offset: int, size: int) -> bytes:
    """Up to `size` bytes from `offset` on (section 6.4)."""
    return _packet(Type.READ, number, string(handle), _SPAN.pack(offset, size))


def write(number: int, handle: bytes, offset: int, data: bytes | memoryview) -> bytes:
    """Store `data` at `offset` (section 6.4)."""
    return _packet(Type.WRITE, number, string(handle), _SPAN.pack(offset, len(data)), data)


def about(number: int, kind: Type, name: bytes) -> bytes:
    """A request that has a path or a handle and nothing else: STAT, CLOSE, READDIR and their like."""
    return _packet(kind, number, string(name))


def make_folder(number: int, path: bytes) -> bytes:
    """Make the folder `path` (section 6.6)."""
    return _packet(Type.MKDIR, number, string(path), Attributes().encoded())


def set_attributes(number: int, path: bytes, attributes: Attributes) -> bytes:
    """Set what `attributes` holds (section 6.9)."""
    return _packet(Type.SETSTAT, number, string(path), attributes.encoded())


def rename(number: int, source: bytes, target: bytes) -> bytes:
    """Rename; in version 3 never over something that exists (section 6.5)."""
    return _packet(Type.RENAME, number, string(source), string(target))


def extended(number: int, name: bytes, *fields: bytes) -> bytes:
    """A request that has a name in place of a type (section 8); `fields` as `wire` makes them."""
    return _packet(Type.EXTENDED, number, string(name), *fields)


def _packet(kind: Type, number: int, *fields: bytes | memoryview) -> bytes:
    size = sum(map(len, fields))
    return b"".join((_HEAD.pack(_BEHIND_LENGTH + size, kind, number), *fields))
