"""The parameters of the coming transfers, which commands set and transfers use.

The one rule: what holds only for the next command (REST, RANG, RNFR, ...) is in the table PENDING, and is forgotten
there and nowhere else.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from homeport.protocols.ftp.facts import ALL_FACTS
from homeport.protocols.ftp.ranges import ByteRange


class Representation(enum.Enum):
    """TYPE: how a file's bytes stand on the data connection. LOCAL8 is the same as IMAGE."""

    ASCII = "A"
    IMAGE = "I"
    LOCAL8 = "L 8"


class TransferMode(enum.Enum):
    """MODE: the bytes as they are, or deflated (draft-preston-ftpext-deflate)."""

    STREAM = "S"
    DEFLATE = "Z"


class Protection(enum.Enum):
    """PROT: whether data connections speak TLS (RFC 4217 section 9)."""

    CLEAR = "C"
    PRIVATE = "P"


@dataclass(frozen=True, slots=True)
class Expectation:
    """SITE EXPECT: the whole size in bytes and the SHA-256 (lower-case hex) that the next upload must have."""

    size: int
    sha256: str


class Pending(enum.Flag):
    """What one command leaves for a later one. Rows speak of members, running code of their values: bits of an int."""

    NONE = 0
    RESTART = enum.auto()
    RANGE = enum.auto()
    RENAME = enum.auto()
    COPY = enum.auto()
    EXPECTATION = enum.auto()
    ALLOCATION = enum.auto()


# flag -> the field that holds it and what it is when nothing is pending
PENDING: dict[Pending, tuple[str, object]] = {
    Pending.RESTART: ("restart_offset", 0),
    Pending.RANGE: ("byte_range", None),
    Pending.RENAME: ("rename_from", None),
    Pending.COPY: ("copy_from", None),
    Pending.EXPECTATION: ("expectation", None),
    Pending.ALLOCATION: ("allocation", None),
}
_FIELDS = tuple((flag.value, name, nothing) for flag, (name, nothing) in PENDING.items())
# Announcements of the next upload, which may have other commands before it.
LASTING = Pending.EXPECTATION | Pending.ALLOCATION


@dataclass(slots=True)
class Settings:
    """One session's. The server reads them; the engine's commands write them, pending values by `keep`.

    `pending`: the bits of Pending that are set.
    """

    representation: Representation = Representation.ASCII
    mode: TransferMode = TransferMode.STREAM
    deflate_level: int = 6
    protection: Protection = Protection.CLEAR
    pbsz_done: bool = False
    epsv_all: bool = False
    hash_algorithm: str = "SHA-256"
    facts: frozenset[str] = ALL_FACTS
    restart_offset: int = 0
    byte_range: ByteRange | None = None
    rename_from: str | None = None
    copy_from: str | None = None
    expectation: Expectation | None = None
    allocation: int | None = None
    pending: int = 0

    def keep(self, what: Pending, value: object) -> None:
        """Leave `value` for a later command."""
        name, _ = PENDING[what]
        setattr(self, name, value)
        self.pending |= what.value

    def forget(self, what: int) -> None:
        """Drop the pending values in `what`, bits of Pending."""
        gone = self.pending & what
        if gone:
            self.pending ^= gone
            for bit, name, nothing in _FIELDS:
                if gone & bit:
                    setattr(self, name, nothing)
