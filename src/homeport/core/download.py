"""Downloads: the bytes of one file on their way out; and how a transfer of either direction ended.

The rule: a reader holds one version of a file open and gets that one whole, or an error.

All methods block. A download belongs to one transfer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from homeport.core.errno_table import storage_error
from homeport.core.errors import HomeportError, SourceChanged, WouldBlock
from homeport.core.paths import VirtualPath

_NOT_NOW = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.EINTR})  # not all file systems can tell


class Outcome(NamedTuple):
    """How a transfer ended: bytes `moved` from `offset` on; no `reason` if it ended well.

    `size` is a download's whole file, and of an upload what is there now: the file, or the stage that is kept.
    """

    path: VirtualPath
    offset: int
    moved: int
    size: int
    sha256: str | None = None
    reason: str | None = None


Ended = Callable[[Outcome], None]


class Opened(NamedTuple):
    """A regular file, open for reading, and what the kernel said of it then."""

    fd: int
    found: os.stat_result


class Download:
    """One version of a file, held open: `whole_size` and `mtime_ns` as they were when it began; `position` is what is
    next, `size` where to stop.

    Bytes go out through `read_into`, or from `fileno` by sendfile(2) with `advance` after each step. `sha256` is the
    whole file's, where it is known without reading it.
    """

    __slots__ = ("_ended", "_fd", "mtime_ns", "offset", "path", "position", "sha256", "size", "whole_size")

    def __init__(
        self, path: VirtualPath, file: Opened, offset: int, ended: Ended, *, sha256: str | None = None
    ) -> None:
        """Take over the descriptor; `offset` is not behind the end."""
        fd, found = file
        self.path = path
        self.size = self.whole_size = found.st_size
        self.mtime_ns = found.st_mtime_ns
        self.offset = self.position = offset
        self.sha256 = sha256
        self._fd = fd
        self._ended = ended

    def __enter__(self) -> Download:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort(str(error) if isinstance(error, HomeportError) else "broken off")

    def stop_at(self, end: int) -> None:
        """Send nothing from byte `end` on: that is the end now."""
        self.size = min(self.size, end)

    def fileno(self) -> int:
        """The descriptor, open for reading until the end; its own position means nothing."""
        return self._fd

    @property
    def remaining(self) -> int:
        """How many bytes are still to be sent."""
        return self.size - self.position

    def read_into(self, buffer: bytearray | memoryview) -> int:
        """Fill `buffer` as far as there is something; 0 at the end. Raises SourceChanged, StorageFailed."""
        room = memoryview(buffer).cast("B")[: self.remaining]
        if not room:
            return 0
        try:
            count = os.preadv(self._fd, [room], self.position)
        except OSError as error:
            raise storage_error(error) from error
        self.advance(count)
        return count

    def read_now(self, buffer: bytearray | memoryview) -> int:
        """As `read_into`, from the kernel's memory alone: raises WouldBlock where it would wait for a disk."""
        room = memoryview(buffer).cast("B")[: self.remaining]
        if not room:
            return 0
        try:
            count = os.preadv(self._fd, [room], self.position, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in _NOT_NOW:
                raise WouldBlock from error
            raise storage_error(error) from error
        self.advance(count)
        return count

    def advance(self, count: int) -> None:
        """`count` bytes went out from `position` on. Raises SourceChanged for 0 before the end: the file was cut."""
        if not count and self.remaining:
            raise SourceChanged(str(self.path))
        self.position += count

    def finish(self) -> None:
        """All was sent. Raises SourceChanged when it was not."""
        if self.remaining:
            raise SourceChanged(str(self.path))
        self._close(None)

    def abort(self, reason: str) -> None:
        """End before the end; does nothing after it."""
        self._close(reason)

    def _close(self, reason: str | None) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            self._ended(Outcome(self.path, self.offset, self.position - self.offset, self.size, None, reason))
