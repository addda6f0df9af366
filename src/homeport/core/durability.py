"""When what was written is made to last through a power cut, and at what price.

The rule: with `always` and `group`, `flush` returns only when everything written to the file before the call is on the
disk, or raises. `group` lets all threads share rounds of syncfs(2): one thread works for all who came before its round
began, those who come later wait for the next round. `never` leaves it to the kernel.
"""

from __future__ import annotations

import ctypes
import enum
import os
import threading
from collections.abc import Callable

from homeport.core.errno_table import storage_error

_libc = ctypes.CDLL(None, use_errno=True)
_WAIT_BEFORE = 1  # SYNC_FILE_RANGE_WAIT_BEFORE


class Policy(enum.Enum):
    """`ALWAYS`: fsync each file and folder; `GROUP`: rounds shared by all; `NEVER`: leave it to the kernel."""

    ALWAYS = "always"
    GROUP = "group"
    NEVER = "never"


class Durability:
    """Makes files and folders last, as the policy says. Thread-safe; one for a whole process."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._lock = threading.Lock()
        self._rounds: dict[int, _Rounds] = {}
        deeds: dict[Policy, Callable[[int], None]] = {
            Policy.ALWAYS: os.fsync,
            Policy.GROUP: self._together,
            Policy.NEVER: _leave_to_the_kernel,
        }
        self._deed = deeds[policy]

    def flush(self, fd: int) -> None:
        """Make what was written to the file `fd` last. Raises StorageFull, StorageFailed, HomeUnavailable."""
        try:
            self._deed(fd)
        except OSError as error:
            raise storage_error(error) from error

    def flush_directory(self, fd: int) -> None:
        """Make the names in the folder `fd` last; errors as `flush`."""
        self.flush(fd)

    def _together(self, fd: int) -> None:
        device = os.fstat(fd).st_dev
        with self._lock:
            rounds = self._rounds.setdefault(device, _Rounds())
        rounds.join(fd)
        # The leader's syncfs tells of errors since the leader opened its file; ours may have failed before that.
        _raise_lost_writes(fd)


def _leave_to_the_kernel(_fd: int) -> None:
    pass


class _Rounds:
    """Rounds of syncfs over one file system; at most one runs at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = 0
        self._done = 0  # the last round that ended well
        self._running = False

    def join(self, fd: int) -> None:
        """Return when a round that began after this call has ended well, running it if nobody else does."""
        with self._changed:
            mine = self._begun + 1  # the one that runs now may have passed our file already
            while self._running and self._done < mine:
                self._changed.wait()
            if self._done >= mine:
                return
            self._running = True
            self._begun += 1
            leading = self._begun
        done = 0
        try:
            _syncfs(fd)
            done = leading
        finally:
            with self._changed:
                self._done = max(self._done, done)
                self._running = False
                self._changed.notify_all()


def _syncfs(fd: int) -> None:
    if _libc.syncfs(ctypes.c_int(fd)) != 0:
        raise _last_error()


def _raise_lost_writes(fd: int) -> None:
    """Raise what went wrong when this file's own blocks were written. Costs no disk access when all are written."""
    if _libc.sync_file_range(ctypes.c_int(fd), ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_WAIT_BEFORE)) != 0:
        raise _last_error()


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
