"""Digests on this side, in whatever algorithm the server can tell; CRC32 in the same clothes as the others."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Protocol

from homeport.client.remote import Abilities

BLOCK_BYTES = 1024 * 1024


class Hasher(Protocol):
    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


# Strongest first. The weak ones tell damage, not malice: nothing here defends against a server that lies about both.
HASHERS: dict[str, Callable[[], Hasher]] = {
    "SHA-256": hashlib.sha256,
    "SHA-512": hashlib.sha512,
    "SHA-1": lambda: hashlib.sha1(usedforsecurity=False),
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
    "CRC32": _Crc32,
}


def best_algorithm(abilities: Abilities) -> str | None:
    """The strongest that both sides know, or None."""
    return next((name for name in HASHERS if name in abilities.digests), None)


class Source(Protocol):
    """A file that can be read block by block."""

    def readinto(self, buffer: memoryview, /) -> int: ...


def feed(hasher: Hasher, source: Source, length: int) -> int:
    """The next `length` bytes of `source` into `hasher`; how many there really were."""
    left = length
    with memoryview(bytearray(min(BLOCK_BYTES, max(length, 1)))) as buffer:
        while left and (count := source.readinto(buffer[: min(left, len(buffer))])):
            hasher.update(buffer[:count])
            left -= count
    return length - left
