"""What a file costs its account: bytes and entries, counted by one rule wherever they are counted.

The rule: every name costs one entry; a regular file costs its length besides, sparse or not, and once a name (a hard
link costs again); folders, links, FIFOs, sockets and devices cost no bytes. The home folder itself is free.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeport.core.entries import Entry, Kind


@dataclass(slots=True, unsafe_hash=True)
class Count:
    """An amount of `bytes` and of `files` (entries of any kind); differences may be negative.

    Nobody changes one; Python is not asked to see to it, which would make it four times as dear.
    """

    bytes: int = 0
    files: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.bytes + other.bytes, self.files + other.files)

    def __sub__(self, other: Count) -> Count:
        return Count(self.bytes - other.bytes, self.files - other.files)

    @classmethod
    def of(cls, entry: Entry) -> Count:
        """What `entry` costs."""
        return cls(entry.size if entry.kind is Kind.FILE else 0, 1)
