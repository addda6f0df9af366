"""What is known of one name in a home.

The rule: an entry is made without detours, because listings make them by the hundred thousand: a named tuple costs a
quarter of a frozen dataclass, and nothing at all (`Look`) a third less than that of what a line needs.
"""

from __future__ import annotations

import enum
import stat as stat_bits
from os import stat_result
from typing import NamedTuple

Look = tuple[str, stat_result]  # a name, and what the kernel says of it


class Kind(enum.Enum):
    """What a name stands for; `OTHER` is a FIFO, socket or device, which is listed and never opened."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class Entry(NamedTuple):
    """A file or folder: `size` in bytes, `mtime_ns` since the epoch, `mode` the permission bits."""

    name: str
    kind: Kind
    size: int
    mtime_ns: int
    mode: int
    links: int
    device: int
    inode: int

    @classmethod
    def of(cls, name: str, found: stat_result) -> Entry:
        """The entry called `name` that the kernel described as `found`."""
        mode = found.st_mode
        # Past the named tuple's own constructor, which is a function of Python's and takes as long as all the rest.
        return tuple.__new__(
            cls,
            (
                name,
                _KINDS[mode >> _TYPE_SHIFT],
                found.st_size,
                found.st_mtime_ns,
                mode & 0o7777,
                found.st_nlink,
                found.st_dev,
                found.st_ino,
            ),
        )


_TYPE_SHIFT = 12  # the type of a file is in the four bits above its permissions
_KIND_OF_TYPE = {
    stat_bits.S_IFREG: Kind.FILE,
    stat_bits.S_IFDIR: Kind.DIRECTORY,
    stat_bits.S_IFLNK: Kind.LINK,
}
_KINDS = tuple(_KIND_OF_TYPE.get(kind << _TYPE_SHIFT, Kind.OTHER) for kind in range(16))
