"""Locks that hold between threads and processes of one machine: flock(2) on a descriptor.

The rule: a lock belongs to an open file description, so whoever wants to be alone opens its own. Where the file system
knows no such locks (some network ones), the block runs unlocked: accounting may then drift, and a recount repairs it.
"""

from __future__ import annotations

import errno
import fcntl

_UNSUPPORTED = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})


def take_exclusive(fd: int) -> bool:
    """Be alone among all who lock the file of `fd`, until `let_go`; False where there are no such locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def let_go(fd: int) -> None:
    """End what `take_exclusive` began."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def try_exclusive(fd: int) -> bool:
    """Lock the file of `fd` until its descriptor is closed; False at once when somebody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
