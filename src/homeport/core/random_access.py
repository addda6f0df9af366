"""Reading a file anywhere; and uploads whose bytes come in any order, and that are read, cut and stretched on the way.

The rule: what arrives only a little out of order is sorted in memory and stored as it would have come, so that it is
hashed as it grows and can be continued after a cut. From the first byte that is written elsewhere than at the end, the
stage is marked as patched: nobody continues it, and its digest is made of the whole at the end.
"""

from __future__ import annotations

import errno
import logging
import os

from homeport.core.bill import Bill
from homeport.core.digests import digest_of
from homeport.core.entries import Entry
from homeport.core.errno_table import storage_error
from homeport.core.errors import HomeportError, SourceChanged, StorageFailed, StorageFull, WouldBlock
from homeport.core.growing_digest import GrowingDigest
from homeport.core.paths import VirtualPath
from homeport.core.stages import PATCHED_MODE, STAGE_MODE, Stage
from homeport.core.transfer import Download, Ended, Stored, Upload, Works

WINDOW_BYTES = 4 * 1024 * 1024  # of pieces that came before those in front of them
_NOT_NOW = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.EINTR})  # not all file systems can tell

_log = logging.getLogger(__name__)


def read_at(download: Download, buffer: bytearray | memoryview, position: int, *, may_block: bool = True) -> int:
    """Fill `buffer` from byte `position` of the file on; 0 at its end. `download.position` then is behind the furthest
    byte that was read. Raises SourceChanged where the file was cut, StorageFailed; WouldBlock rather than wait.
    """
    room = memoryview(buffer)[: max(0, download.size - position)]
    if not room:
        return 0
    try:
        count = os.preadv(download.fileno(), [room], position, 0 if may_block else os.RWF_NOWAIT)
    except OSError as error:
        if not may_block and error.errno in _NOT_NOW:
            raise WouldBlock from error
        raise storage_error(error) from error
    if count < len(room) and not may_block:
        raise WouldBlock
    if not count:
        raise SourceChanged(str(download.path))
    download.position = max(download.position, position + count)
    return count


class PatchedUpload(Upload):
    """See Upload. Its own methods are called by one thread at a time."""

    def __init__(self, path: VirtualPath, stage: Stage, bill: Bill, works: Works, ended: Ended) -> None:
        super().__init__(path, stage, bill, works, ended)
        if stage.is_blank:  # what it held before must not show between pieces
            with works.changing:
                self._count_stage()
        self._held: dict[int, bytes] = {}  # by offset, in the order in which they came; none overlaps another
        self._held_bytes = 0
        self._in_order: int | None = None  # bytes at the beginning that came in order; None: all

    def __enter__(self) -> PatchedUpload:
        return self

    def write_at(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Store `data` at byte `offset`. Raises as `write`; StorageFull for a gap larger than the disk has room for.

        What lies behind the end may be held for a while: then errors come with a later call.
        """
        view = memoryview(data).cast("B")
        if self._held and self._overlaps(offset, offset + len(view)):
            self.settle()
        if offset == self.size:
            self.write(view)
            self._let_follow()
        elif offset > self.size and self._held_bytes + len(view) <= WINDOW_BYTES:
            self._require_open()
            self._held[offset] = bytes(view)
            self._held_bytes += len(view)
        else:
            self.settle()
            self._patch(view, offset)

    def read_at(self, buffer: bytearray | memoryview, position: int) -> int:
        """Fill `buffer` with what is there from byte `position` on; 0 at the end. Raises as `write_at`."""
        self.settle()
        with self._lock:
            self._require_open()
            try:
                return os.preadv(self._stage.fd, [buffer], position)
            except OSError as error:
                raise storage_error(error) from error

    def resize(self, size: int) -> None:
        """Cut it to `size` bytes, or stretch it with zeros. Raises as `write_at`."""
        self.settle()
        if size > self.size:
            self._patch(memoryview(b""), size)
        elif size < self.size:
            with self._lock:
                self._require_open()
                self._leave_order(size)
                with self._changing:
                    self._cut(size)
                self.offset = min(self.offset, size)
                if not size:
                    self._begin_anew()

    def flush(self) -> None:
        """Have what was written on the disk. It stays a stage until it is committed."""
        self.settle()
        with self._lock:
            self._require_open()
            self._works.durability.flush(self._stage.fd)

    def settle(self) -> None:
        """Store what is held: what was to come before it does not come. Raises as `write_at`."""
        held, self._held, self._held_bytes = self._held, {}, 0
        for offset, piece in held.items():
            self._patch(memoryview(piece), offset)

    def commit(self, *, expected_size: int | None = None, expected_sha256: str | None = None) -> Stored:
        """See Upload."""
        self.settle()  # before the lock: it may have to wait for room
        return super().commit(expected_size=expected_size, expected_sha256=expected_sha256)

    def seal(self, *, expected_size: int | None = None, expected_sha256: str | None = None) -> None:
        """See Upload."""
        self.settle()
        super().seal(expected_size=expected_size, expected_sha256=expected_sha256)

    def abort(self, reason: str) -> None:
        """See Upload. Of what came in any order that is kept which came in order before it."""
        with self._lock:
            self._held.clear()
            if self._in_order is not None and not self._closed:
                try:
                    self._drop_patches(self._in_order)
                except HomeportError as error:
                    _log.warning("account %d: a stage could not be cut: %s", self._works.account_id, error)
                    self._worthless = True
            super().abort(reason)

    def _overlaps(self, start: int, end: int) -> bool:
        return any(start < at + len(piece) and at < end for at, piece in self._held.items())

    def _let_follow(self) -> None:
        while (piece := self._held.pop(self.size, None)) is not None:
            self._held_bytes -= len(piece)
            self.write(piece)

    def _patch(self, view: memoryview, offset: int) -> None:
        with self._lock:
            self._require_open()
            if offset != self.size:
                self._leave_order(offset)
            if offset > self.size:
                self._stretch(offset)
            inside = view[: self.size - offset]
            if inside:
                self._overwrite(inside, offset)
        rest = view[len(inside) :]
        if rest:
            self.write(rest)

    def _leave_order(self, offset: int) -> None:
        if self._in_order is None:
            self._set_mode(PATCHED_MODE)
            self._digest.stop()
            self._digest = _DigestAtTheEnd(self._stage.fd, self._works.beside)
            self._in_order = self.size
        self._in_order = min(self._in_order, offset)

    def _begin_anew(self) -> None:
        """Nothing is there, so everything is in order."""
        self._digest.stop()
        self._digest = GrowingDigest(self._stage.fd, self._works.beside)
        self._set_mode(STAGE_MODE)
        self._in_order = None

    def _stretch(self, size: int) -> None:
        more = size - self.size
        if more > self._works.jail.free_bytes():  # a gap is read at the end like everything else
            raise StorageFull
        with self._changing:
            self._bill.charge(more)
            try:
                self._stage.truncate(size)
            except BaseException:
                self._bill.refund(more)
                raise
            self.size = size

    def _overwrite(self, view: memoryview, offset: int) -> None:
        done = 0
        with self._changing:
            while done < len(view):
                try:
                    count = os.pwrite(self._stage.fd, view[done:], offset + done)
                except OSError as error:
                    raise storage_error(error) from error
                if not count:
                    raise StorageFailed("nothing was written")
                done += count
        self.moved += done

    def _drop_patches(self, in_order: int) -> None:
        if self._stage.created and in_order <= self.offset:  # a copy of the file that is there: of no use to anybody
            self._worthless = True
            return
        with self._changing:
            self._cut(min(in_order, self.size))
        self._set_mode(STAGE_MODE)

    def _approve(self, there: Entry | None) -> None:
        if self._in_order is not None:
            self._set_mode(STAGE_MODE)
        super()._approve(there)


class _DigestAtTheEnd(GrowingDigest):
    """The digest of a file that does not grow at its end alone."""

    __slots__ = ()

    def grew(self, piece: memoryview) -> None:
        """It is read when all is there."""

    def hexdigest(self) -> str:
        """See GrowingDigest."""
        return digest_of(self._fd)
