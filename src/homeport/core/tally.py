"""How many sessions the other worker processes of this machine have, so that limits hold for all of them together.

The one rule: each process writes its own file alone, and its file counts only while it lives: a lock on the file, which
the kernel drops with the process, tells the others. So nothing has to be tidied up after a worker that was killed; when
all are gone, `clear` takes the files away.

A file is a head of 16 bytes, which begins with the number of sessions, and a row of 16 bytes for each of them: 8 that
stand for its address, 8 for its account (zeros: none).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import heapq
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from homeport.core.errors import StorageFailed
from homeport.core.locks import try_exclusive

_KEY = 8
_ROW = 2 * _KEY
NOBODY = bytes(_KEY)
# A worker holds the common lock for some ten microseconds. One that was stopped just then must not stop the others:
# after this they count without the lock, and may let in a session too many.
_PATIENCE_S = 0.05
_PAUSE_S = 0.0002


def key_of(subject: str) -> bytes:
    """What stands for an address or an account in a row: two subjects have the same with a chance of 2^-64."""
    return hashlib.blake2b(subject.encode("utf-8", "surrogateescape"), digest_size=_KEY).digest()


class Others:
    """The sessions of the other processes at one moment."""

    def __init__(self, tables: tuple[bytes, ...] = ()) -> None:
        self._tables = tables

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(int.from_bytes(table[:_KEY], "little") for table in self._tables)

    def of(self, key: bytes) -> int:
        """How many have this address or this account."""
        return sum(table.count(key, _ROW) for table in self._tables)


class Tally(Protocol):
    """What a registry of sessions tells other processes, and knows of them. One thread at a time calls its methods."""

    def alone(self) -> AbstractContextManager[Others]:
        """While the block runs, no other process adds a session."""
        ...

    def add(self, address: bytes) -> int:
        """A session began; its number, which another gets when it has ended."""
        ...

    def assign(self, number: int, account: bytes) -> None:
        """The session belongs to the account now, or to NOBODY."""
        ...

    def remove(self, number: int) -> None:
        """The session ended."""
        ...


class Lonely:
    """The tally of a process that has no others beside it."""

    @contextmanager
    def alone(self) -> Iterator[Others]:
        """See Tally."""
        yield Others()

    def add(self, address: bytes) -> int:  # noqa: ARG002
        """See Tally."""
        return 0

    def assign(self, number: int, account: bytes) -> None:
        """See Tally."""

    def remove(self, number: int) -> None:
        """See Tally."""


class SharedTally:
    """The tally of the process in `slot`, one of `processes` that count from 0 and keep their files in `folder`."""

    def __init__(
        self,
        folder: Path,
        slot: int,
        processes: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin without sessions. Raises StorageFailed, EBUSY when a process in this slot lives."""
        self._monotonic = monotonic
        self._sleep = sleep
        self._free: list[int] = []  # numbers below `_end`, the lowest first: so the file stays short
        self._end = self._count = 0
        self._opened: list[int] = []
        try:
            self._lock = self._open(folder / "sessions.lock")
            self._own, *self._peers = (
                self._open(folder / f"sessions-{number}.tally")
                for number in sorted(range(processes), key=lambda number: number != slot)
            )
            self._begin()
        except OSError as error:
            self.close()
            raise StorageFailed(errno.errorcode.get(error.errno or 0, "unknown")) from error

    def close(self) -> None:
        """This process's sessions count no longer."""
        while self._opened:
            os.close(self._opened.pop())

    @contextmanager
    def alone(self) -> Iterator[Others]:
        """See Tally. Waits for other processes, but never for one that was stopped."""
        locked = self._locked()
        try:
            yield Others(tuple(_table(peer) for peer in self._peers if not _abandoned(peer)))
        finally:
            if locked:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def add(self, address: bytes) -> int:
        """See Tally."""
        if self._free:
            number = heapq.heappop(self._free)
        else:
            number, self._end = self._end, self._end + 1
        self._write(number, 0, address + NOBODY)
        self._write_count(1)
        return number

    def assign(self, number: int, account: bytes) -> None:
        """See Tally."""
        self._write(number, _KEY, account)

    def remove(self, number: int) -> None:
        """See Tally."""
        self._write(number, 0, NOBODY + NOBODY)
        self._write_count(-1)
        heapq.heappush(self._free, number)

    def _open(self, path: Path) -> int:
        self._opened.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return self._opened[-1]

    def _begin(self) -> None:
        locked = self._locked()  # so that nobody is just trying whether the file is locked
        try:
            if not try_exclusive(self._own):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            os.ftruncate(self._own, 0)
            self._write_count(0)
        finally:
            if locked:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _locked(self) -> bool:
        if try_exclusive(self._lock):
            return True
        deadline = self._monotonic() + _PATIENCE_S
        while self._monotonic() < deadline:
            self._sleep(_PAUSE_S)
            if try_exclusive(self._lock):
                return True
        return False

    def _write(self, number: int, offset: int, content: bytes) -> None:
        os.pwrite(self._own, content, (number + 1) * _ROW + offset)

    def _write_count(self, change: int) -> None:
        self._count += change
        os.pwrite(self._own, self._count.to_bytes(_ROW, "little"), 0)


def clear(folder: Path) -> None:
    """Remove the files of processes that are all gone. What cannot be removed stays, and does no harm."""
    for path in (folder / "sessions.lock", *folder.glob("sessions-*.tally")):
        with suppress(OSError):
            path.unlink()


def _abandoned(peer: int) -> bool:
    """Whether the file's process is dead, or was never started."""
    try:
        fcntl.flock(peer, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(peer, fcntl.LOCK_UN)
    return True


def _table(peer: int) -> bytes:
    return os.pread(peer, os.fstat(peer).st_size, 0)
