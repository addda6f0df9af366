"""What the makers of listings need to know of a file; `homeport.core.entries.Entry` has it, and tests bring their own.

The one rule: attributes only, read once each, for folders are large.
"""

from __future__ import annotations

from typing import Protocol


class Listed(Protocol):
    """`mode`: permission bits. `device` and `inode` tell whether two names are one file."""

    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def mode(self) -> int: ...
    @property
    def links(self) -> int: ...
    @property
    def device(self) -> int: ...
    @property
    def inode(self) -> int: ...
