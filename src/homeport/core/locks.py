"""Locks that hold between threads and processes of one machine: flock(2) on a descriptor.

The rule: a lock belongs to an open file description, so whoever wants to be alone opens its own. Where the file system
knows no such locks (some network ones), the block runs unlocked: accounting may then drift, and a recount repairs it.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

_UNSUPPORTED = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})


@contextmanager
def exclusive(fd: int) -> Iterator[None]:
    """Be alone among all who lock the file of `fd`, for as long as the block runs; waits for the others."""
    locked = _take(fd)
    try:
        yield
    finally:
        if locked:
            fcntl.flock(fd, fcntl.LOCK_UN)


def try_exclusive(fd: int) -> bool:
    """Lock the file of `fd` until its descriptor is closed; False at once when somebody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True
