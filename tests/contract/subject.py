"""What every protocol must be able to do with a home, said once: the client's side of the contract.

A protocol joins by one file, `factory_<name>.py`, whose `connect` gives a `HomeUnderTest` for an account of a `House`;
the behaviours know nothing else. The rule: a refusal has one of the kinds below, whatever its wire code.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest


class Kind(enum.Enum):
    """Why something was refused."""

    NOT_FOUND = enum.auto()
    EXISTS = enum.auto()
    NOT_A_DIRECTORY = enum.auto()
    IS_A_DIRECTORY = enum.auto()
    NOT_EMPTY = enum.auto()
    NOT_A_FILE = enum.auto()
    OUTSIDE = enum.auto()
    ROOT = enum.auto()
    INVALID = enum.auto()
    DENIED = enum.auto()
    BUSY = enum.auto()
    PAST_END = enum.auto()
    WRONG_SIZE = enum.auto()
    WRONG_DIGEST = enum.auto()
    CHANGED = enum.auto()
    QUOTA = enum.auto()
    FULL = enum.auto()
    FAILED = enum.auto()


class Refused(Exception):
    """The home said no. A wire code that stands for several kinds gives all of them."""

    def __init__(self, kinds: frozenset[Kind], text: str) -> None:
        super().__init__(text)
        self.kinds = kinds


@dataclass(frozen=True, slots=True)
class Facts:
    """What a client learns of one name; `mtime_s` in whole seconds."""

    is_folder: bool
    size: int
    mtime_s: int


@dataclass(frozen=True, slots=True)
class Used:
    """Bytes and entries: what the ledger says, or what a count of the disk finds."""

    bytes: int
    files: int


class OpenUpload(Protocol):
    """An upload under way. `send` returns when the bytes have reached the server's disk, or the refusal came."""

    def send(self, data: bytes) -> None: ...

    def finish(self) -> None:
        """End it well: the file stands under its name afterwards. Raises Refused."""

    def cut(self) -> None:
        """Break it off as a lost connection does; returns when the server has noticed."""


class OpenDownload(Protocol):
    """A download under way, its file opened by the server."""

    def receive(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""

    def rest(self) -> bytes:
        """All that is left. Raises Refused when the server broke off."""

    def cut(self) -> None: ...


class HomeUnderTest(Protocol):
    """One logged-in client of one account. Paths are text beginning with `/`; alien bytes are surrogates (PEP 383)."""

    def put(self, path: str, data: bytes) -> None: ...

    def put_from(self, path: str, offset: int, data: bytes) -> None:
        """Continue `path` at `offset` with `data`, to its end."""

    def append(self, path: str, data: bytes) -> None: ...

    def put_announced(self, path: str, data: bytes, *, size: int | None = None, sha256: str | None = None) -> None:
        """Store `data` after announcing its size and digest."""

    def put_unique(self, path: str, data: bytes) -> str:
        """Store under a name that nobody has, resembling `path`; returns the path it got."""

    def begin_put(self, path: str, *, offset: int | None = None, append: bool = False) -> OpenUpload: ...

    def get(self, path: str, offset: int = 0) -> bytes: ...

    def begin_get(self, path: str, offset: int = 0) -> OpenDownload: ...

    def resume_size(self, path: str) -> int: ...

    def list(self, path: str) -> list[str]:
        """The names in a folder, without order, without `.` and `..`."""

    def stat(self, path: str) -> Facts: ...

    def mkdir(self, path: str) -> None: ...

    def rmdir(self, path: str) -> None: ...

    def remove(self, path: str) -> None: ...

    def rename(self, source: str, target: str) -> None: ...

    def copy(self, source: str, target: str) -> None: ...

    def set_mtime(self, path: str, mtime_s: int) -> None: ...

    def set_mode(self, path: str, mode: int) -> None: ...

    def digest(self, path: str) -> str:
        """The SHA-256 of the whole file in lower-case hexadecimal digits."""

    def reserve(self, size: int) -> None:
        """Ask for room for the next upload (ALLO)."""

    def close(self) -> None: ...


class Connect(Protocol):
    """What a factory file brings: logs in to an account of the house."""

    def __call__(self, account: str, password: str) -> HomeUnderTest: ...


# What `serve` of a factory file is: starts whatever the protocol needs on a house and stops it at the end.
Serve = Callable[["object"], AbstractContextManager[Connect]]


@contextmanager
def refused(*kinds: Kind) -> Iterator[None]:
    """The block must be refused for one of `kinds`."""
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.kinds & set(kinds), f"refused otherwise: {caught.value} ({caught.value.kinds})"
