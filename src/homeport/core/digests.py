"""Which digests there are, how they are computed, and where a file's SHA-256 is kept beside it.

The rule: a kept digest counts only while the file has the size and modification time that it had when the digest was
kept. It lives in the extended attribute `user.homeport.sha256`, which moves with the file, or in the database's table
`digests` where the file system takes no such attribute.

The attribute is 48 bytes, most significant first: the size (8), the modification time in nanoseconds since the epoch
(8, two's complement), the digest (32). So it fits into the file's inode; as text it was 89 bytes, for which ext4 needs
a block of 4 KiB, and twice the time.

Whoever changes a file in place, keeps its length and sets its old time again is not noticed; nothing in Homeport
changes files in place.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import select

from homeport.core.errno_table import storage_error
from homeport.core.schema import digests

if TYPE_CHECKING:
    from homeport.core.state import Database

ATTRIBUTE = "user.homeport.sha256"
BLOCK_BYTES = 256 * 1024

_STATE = struct.Struct(">Qq")
_KEPT_BYTES = _STATE.size + hashlib.sha256().digest_size


class Hasher(Protocol):
    """What computes a digest, as in hashlib."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take in the next bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest of everything so far, in lower-case hexadecimal."""
        ...


class Crc32:
    """The checksum of zip and gzip (ISO 3309), in the shape of hashlib's."""

    def __init__(self) -> None:
        self._sum = 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take in the next bytes."""
        self._sum = zlib.crc32(data, self._sum)

    def hexdigest(self) -> str:
        """Eight hexadecimal digits."""
        return f"{self._sum:08x}"


def _sha1() -> Hasher:
    return hashlib.sha1(usedforsecurity=False)


def _md5() -> Hasher:
    return hashlib.md5(usedforsecurity=False)


# Names as in FTP's HASH (draft-bryan-ftpext-hash); the first is Homeport's own.
ALGORITHMS: Mapping[str, Callable[[], Hasher]] = {
    "SHA-256": hashlib.sha256,
    "SHA-512": hashlib.sha512,
    "SHA-1": _sha1,
    "MD5": _md5,
    "CRC32": Crc32,
}


def digest_of(fd: int, algorithm: str = "SHA-256", start: int = 0, end: int | None = None) -> str:
    """The digest of the bytes from `start` up to, not including, `end` (None: the file's end), in hexadecimal.

    `algorithm` is a key of ALGORITHMS. Does not move the descriptor's position. Raises StorageError.
    """
    hasher = ALGORITHMS[algorithm]()
    update_from(hasher, fd, start, end)
    return hasher.hexdigest()


def update_from(hasher: Hasher, fd: int, start: int = 0, end: int | None = None) -> int:
    """Feed `hasher` the bytes from `start` up to `end` (None: the file's end); returns how many there were."""
    block = memoryview(bytearray(BLOCK_BYTES))
    position = start
    while end is None or position < end:
        room = block if end is None else block[: end - position]
        try:
            count = os.preadv(fd, [room], position)
        except OSError as error:
            raise storage_error(error) from error
        if count == 0:
            break
        hasher.update(room[:count])
        position += count
    return position - start


def attribute_of(fd: int, found: os.stat_result) -> str | None:
    """The digest that the file `fd`, whose state is `found`, carries itself. Raises OSError where none can be."""
    try:
        kept = os.getxattr(fd, ATTRIBUTE)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return None
    if len(kept) != _KEPT_BYTES or not kept.startswith(_state_of(found)):
        return None
    return kept[_STATE.size :].hex()


def _state_of(found: os.stat_result) -> bytes:
    return _STATE.pack(found.st_size, _signed(found.st_mtime_ns))


class DigestStore:
    """Keeps SHA-256 digests beside their files. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._devices: set[int] | None = None  # those with rows, when this process first looked

    def store(self, fd: int, digest: str) -> None:
        """Keep `digest` (64 hexadecimal digits) as that of the file `fd` as it is now.

        On a stage, before it is renamed into place: the attribute goes with it. Raises StorageError, StateUnavailable.
        """
        try:
            found = os.fstat(fd)
        except OSError as error:
            raise storage_error(error) from error
        try:
            os.setxattr(fd, ATTRIBUTE, _state_of(found) + bytes.fromhex(digest))
        except OSError:  # no attributes here, or no room for one
            self._store_row(found, digest)

    def load(self, fd: int, found: os.stat_result, *, may_block: bool = True) -> str | None:
        """The kept digest of the file `fd`, whose state is `found`; None when it has none that still counts.

        The database is asked only if it `may_block`.
        """
        try:
            digest = attribute_of(fd, found)
            if digest or not may_block or not self._has_rows(found.st_dev):
                return digest
        except OSError:
            if not may_block:
                return None
        return self._load_row(found)

    def restamp(self, fd: int, before: os.stat_result) -> None:
        """After the time of the file `fd` was set: keep the digest that it had when its state was `before`, if any."""
        digest = self.load(fd, before)
        if digest:
            self.store(fd, digest)

    def _has_rows(self, device: int) -> bool:
        """Whether a file that takes attributes and has none may have a row: asked of the database once."""
        if self._devices is None:
            with self._database.read() as connection:
                self._devices = set(connection.scalars(select(digests.c.device).distinct()))
        return _signed(device) in self._devices

    def _store_row(self, found: os.stat_result, digest: str) -> None:
        row = {"size": found.st_size, "mtime_ns": _signed(found.st_mtime_ns), "sha256": digest}
        with self._database.write() as connection:
            connection.execute(
                self._database.insert(digests)
                .values(device=_signed(found.st_dev), inode=_signed(found.st_ino), **row)
                .on_conflict_do_update(index_elements=[digests.c.device, digests.c.inode], set_=row)
            )
        if self._devices is not None:
            self._devices.add(_signed(found.st_dev))

    def _load_row(self, found: os.stat_result) -> str | None:
        wanted = digests.select().where(
            digests.c.device == _signed(found.st_dev),
            digests.c.inode == _signed(found.st_ino),
            digests.c.size == found.st_size,
            digests.c.mtime_ns == _signed(found.st_mtime_ns),
        )
        with self._database.read() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else str(row.sha256)


def _signed(number: int) -> int:
    """A number as the databases' signed one of 64 bits: devices, and times beyond the year 2262, have larger ones."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)
