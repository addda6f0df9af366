"""What is known of one name in a home."""

from __future__ import annotations

import enum
import stat as stat_bits
from dataclasses import dataclass
from os import stat_result


class Kind(enum.Enum):
    """What a name stands for; `OTHER` is a FIFO, socket or device, which is listed and never opened."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
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
        return cls(
            name=name,
            kind=_KINDS.get(stat_bits.S_IFMT(found.st_mode), Kind.OTHER),
            size=found.st_size,
            mtime_ns=found.st_mtime_ns,
            mode=stat_bits.S_IMODE(found.st_mode),
            links=found.st_nlink,
            device=found.st_dev,
            inode=found.st_ino,
        )


_KINDS = {
    stat_bits.S_IFREG: Kind.FILE,
    stat_bits.S_IFDIR: Kind.DIRECTORY,
    stat_bits.S_IFLNK: Kind.LINK,
}
