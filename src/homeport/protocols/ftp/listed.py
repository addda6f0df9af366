"""What the makers of listings are told of a file: its name, and what the kernel says of it.

The one rule: no object is made for an entry on its way from the disk to its line, for folders are large; so this is
what `os.stat` gives, taken apart by position, and tests bring plain tuples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Behind the name: mode with the kind in its upper bits, inode, device, links, user, group, size in bytes, and the
# seconds since the epoch at which the file was last read, its content changed, itself changed. All whole numbers, as
# `os.stat_result` has them when it is taken for a tuple.
Looked = tuple[str, Sequence[Any]]

_KINDS = {0o10: "file", 0o04: "directory", 0o12: "link"}


def kind_of(mode: int) -> str:
    """`file`, `directory`, `link`, or `other` for a FIFO, socket or device."""
    return _KINDS.get(mode >> 12, "other")
