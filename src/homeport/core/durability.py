"""When what was written is made to last through a power cut, and at what price.

The rule: with `always` and `group`, `flush` and `flush_directory` return only when everything written before the call
is on the disk, or raise. `never` leaves it to the kernel.

Every file is synced by its own fsync(2): the journals of ext4 and XFS bundle those that run at the same time, and only
the file's own descriptor tells of its lost writes. (Rounds of syncfs(2) for all, measured on ext4, were no faster and,
beside one big upload, ten times slower: they wait for everybody's bytes.) What `group` bundles are the folders: all
who store in one folder share rounds of its fsync. One thread works for all who came before its round began; those who
come later wait for the next. And whoever has many files at once has them written side by side (`flush_all`): all are
started, then synced by a few threads, whose fsyncs end with the same commits of the journal. (256 files of 4 KiB on
ext4 took 7 to 20 ms so, one after another 120 to 400, by syncfs 4 to 46; beside a big writer 26 to 150, 280 to 720, and
320 to 360.)
"""

from __future__ import annotations

import ctypes
import enum
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

from homeport.core.errno_table import storage_error
from homeport.core.errors import HomeportError

_SIDE_BY_SIDE = 8
_SYNC_FILE_RANGE_WRITE = 2


class Policy(enum.Enum):
    """`ALWAYS`: fsync each file and folder; `GROUP`: share the folders' among all; `NEVER`: leave it to the kernel."""

    ALWAYS = "always"
    GROUP = "group"
    NEVER = "never"


class Durability:
    """Makes files and folders last, as the policy says. Thread-safe; one for a whole process."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._shared = _SharedSyncs()
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def flush(self, fd: int) -> None:
        """Make what was written to the file `fd` last. Raises StorageFull, StorageFailed, HomeUnavailable."""
        if self.policy is Policy.NEVER:
            return
        with _storage_errors():
            os.fsync(fd)

    def flush_all(self, fds: Sequence[int]) -> list[HomeportError | None]:
        """As `flush` for each of the files `fds`, side by side where the policy shares; what went wrong with each."""
        if self.policy is not Policy.GROUP or len(fds) == 1:
            return [_caught(self.flush, fd) for fd in fds]
        for fd in fds:
            _start_writing(fd)
        stripes = [fds[start::_SIDE_BY_SIDE] for start in range(min(_SIDE_BY_SIDE, len(fds)))]
        done = list(self._pool().map(lambda stripe: [_caught(self.flush, fd) for fd in stripe], stripes))
        return [done[number % _SIDE_BY_SIDE][number // _SIDE_BY_SIDE] for number in range(len(fds))]

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="homeport-sync")
        return self._threads

    def flush_directory(self, fd: int) -> None:
        """Make the names in the folder `fd` last; errors as `flush`."""
        if self.policy is not Policy.GROUP:
            self.flush(fd)
            return
        with _storage_errors():
            self._shared.sync(fd)


class _SharedSyncs:
    """The folders that are being synced now, each with its rounds; a folder that nobody syncs takes no memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rounds: dict[tuple[int, int], _Rounds] = {}

    def sync(self, fd: int) -> None:
        found = os.fstat(fd)
        folder = found.st_dev, found.st_ino
        with self._lock:
            rounds = self._rounds.setdefault(folder, _Rounds())
            rounds.users += 1
        try:
            rounds.join(fd)
        finally:
            with self._lock:
                rounds.users -= 1
                if rounds.users == 0:
                    del self._rounds[folder]


class _Rounds:
    """Rounds of fsync of one folder; at most one runs at a time."""

    def __init__(self) -> None:
        self.users = 0
        self._changed = threading.Condition()
        self._begun = 0
        self._done = 0  # the last round that ended well
        self._running = False

    def join(self, fd: int) -> None:
        """Return when a round that began after this call has ended well, running it if nobody else does."""
        with self._changed:
            mine = self._begun + 1  # the one that runs now may have missed our name
            while self._running and self._done < mine:
                self._changed.wait()
            if self._done >= mine:
                return
            self._running = True
            self._begun += 1
            leading = self._begun
        done = 0
        try:
            os.fsync(fd)
            done = leading
        finally:
            with self._changed:
                self._done = max(self._done, done)
                self._running = False
                self._changed.notify_all()


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error) from error


def _caught(flush: Callable[[int], None], fd: int) -> HomeportError | None:
    try:
        flush(fd)
    except HomeportError as error:
        return error
    return None


def _start_writing(fd: int) -> None:
    """Have the kernel begin to write the file, where it can be told so; fsync is what waits and tells of errors."""
    start = _sync_file_range()
    if start is not None:
        start(fd, 0, 0, _SYNC_FILE_RANGE_WRITE)


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    try:
        function = ctypes.CDLL(None).sync_file_range
    except AttributeError:  # not on Linux
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return _typed(function)


def _typed(function: Callable[..., int]) -> Callable[[int, int, int, int], int]:
    return function
