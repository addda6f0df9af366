"""Blanks: files that were replaced and wait among the stages to be used again for the next upload.

Making and removing a file is the dearest thing that a file system does (on ext4 without a journal, half a millisecond
of searching when many were removed lately), so a new version takes the old one's name by an exchange, and the old file
becomes a blank. Emptying and filling one is the next (a third of an upload's work in the kernel), so a small one keeps
its old bytes until new ones have taken their place (`Stage.charged`).

The rule: a file becomes a blank only if nobody has it open and nothing of it can be seen in its next life: one name,
our own, no attributes besides the digest. The kernel says so (a write lease, fcntl(2), is given to the only one who has
a file open). It carries the sticky bit, which no file in a home has, from before it leaves its name until it holds
nothing but what came for a stage: what has the bit is no stage, costs nothing, and its content means nothing.

Who resolved a path just before the exchange and opens it just after would find another file there: `is_young` tells
for which files that can be, and `Jail` looks again at those.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat as stat_bits
import time

from homeport.core.digests import ATTRIBUTE
from homeport.core.entries import Entry, Kind
from homeport.core.locks import try_exclusive
from homeport.core.renaming import Place, exchange

MARK = stat_bits.S_ISVTX
BLANK_MODE = MARK | 0o600

_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FILLED_BYTES = 16 * 1024  # a blank may be as large; what is larger is emptied, for its room is nobody's
_YOUNG_NS = 2_000_000_000  # more than a clock is set back while somebody opens a file
_OURS_ALONE: tuple[list[str], ...] = ([], [ATTRIBUTE])
_CANNOT_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


def is_blank(mode: int) -> bool:
    """Whether a file of the stages with this mode is a blank."""
    return bool(mode & MARK)


def is_young(found: os.stat_result) -> bool:
    """Whether the file was made, renamed or changed so lately that it may have been a blank a moment ago."""
    return time.time_ns() - found.st_ctime_ns < _YOUNG_NS


class Replaced:
    """A file that is being replaced: open, locked against uploads, and marked."""

    __slots__ = ("fd", "mode")

    def __init__(self, fd: int, mode: int) -> None:
        self.fd = fd
        self.mode = mode

    def restore(self) -> None:
        """It keeps its name after all."""
        try:
            os.fchmod(self.fd, self.mode & 0o777)
        finally:
            os.close(self.fd)

    def become_blank(self, place: Place) -> None:
        """Leave it at its new place, emptied if large; where somebody reads it, remove its name there. Never raises."""
        fd = self.fd
        try:  # it is marked: whatever is left of it costs nobody anything
            if not _leased(fd) or (found := os.fstat(fd)).st_nlink != 1:
                os.unlink(place.name, dir_fd=place.folder)
            elif found.st_size > _FILLED_BYTES:
                os.ftruncate(fd, 0)
        except OSError:
            pass
        os.close(fd)  # ends the lease and the lock


def _leased(fd: int) -> bool:
    """Whether nobody else has the file open, nor can open it until `fd` is closed."""
    try:
        # Who wants to open it meanwhile is told EAGAIN, and we by a signal that by default nobody hears.
        fcntl.fcntl(fd, _F_SETSIG, _UNHEARD)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    return True


_F_SETSIG = 10  # fcntl.h; Python does not name it
_UNHEARD = int(signal.SIGURG)  # a plain number: the enumeration's member would be converted each time


def put_in_place(stage: Place, target: Place, there: Entry | None) -> Replaced | None:
    """Rename the stage to the target, where `there` is. What may become a blank gets the stage's name, and is returned.

    Raises OSError, and then nothing has changed.
    """
    old = _reusable(target, there) if there is not None and there.kind is Kind.FILE else None
    if old is not None:
        try:
            exchange(stage, target)
        except OSError as error:
            old.restore()
            if error.errno not in _CANNOT_EXCHANGE:
                raise
        else:
            return old
    os.rename(stage.name, target.name, src_dir_fd=stage.folder, dst_dir_fd=target.folder)
    return None


def _reusable(target: Place, there: Entry) -> Replaced | None:
    """The file at the target, marked, if it may become a blank as far as can be seen now."""
    if there.links != 1:
        return None
    try:
        fd = os.open(target.name, _OLD, dir_fd=target.folder)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        if _may_be_used_again(fd, found, there) and try_exclusive(fd):
            os.fchmod(fd, BLANK_MODE)
            return Replaced(fd, found.st_mode)
    except OSError:
        pass
    os.close(fd)
    return None


def _may_be_used_again(fd: int, found: os.stat_result, there: Entry) -> bool:
    return (
        (found.st_ino, found.st_dev) == (there.inode, there.device)
        and (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
        and os.listxattr(fd) in _OURS_ALONE
    )
