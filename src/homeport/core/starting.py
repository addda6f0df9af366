"""How an upload starts: the stage is found or made, filled with what is to be continued, and charged.

The rule: nothing is thrown away before the upload is known to be allowed, and when it cannot start after all, nothing
stays charged that is not on the disk.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing, suppress
from typing import NamedTuple

from homeport.core.bill import Bill, Reservation
from homeport.core.count import Count
from homeport.core.entries import Entry
from homeport.core.errno_table import storage_error
from homeport.core.errors import QuotaExceeded, SourceChanged
from homeport.core.leases import NOTHING
from homeport.core.paths import VirtualPath
from homeport.core.resume import FROM_NOTHING, Beginning, Present, Start, start_of
from homeport.core.stages import Stage
from homeport.core.transfer import Ended, Upload, Works, throw_away

COPY_BYTES = 16 * 1024 * 1024  # copied at once inside the kernel: short enough for a recount to get its turn
_BLOCK_BYTES = 256 * 1024
_CANNOT_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class Wish(NamedTuple):
    """What the peer asks for; `expected_size` is the whole file's in bytes, `kind` what the upload is to be able to."""

    offset: int | None = None
    append: bool = False
    expected_size: int | None = None
    reservation: Reservation | None = None
    kind: type[Upload] = Upload
    knows_stage: bool = False  # the peer has asked for the stage's length: `offset` is not that of the file


def start_upload(path: VirtualPath, wish: Wish, works: Works, ended: Ended) -> Upload:
    """Begin to store `path`.

    Raises StorageFull, Busy, OffsetPastEnd, QuotaExceeded, and what `Jail.replaceable` and `allow` raise.
    """
    whole = works.jail.replaceable(path)
    works.allow(path, whole)
    works.disk.take(0)
    bill = Bill(works.ledger, works.account_id, Count.of(whole) if whole else NOTHING, wish.reservation)
    with works.changing:
        stage = _opened(path, works, bill, replacing=whole is not None)
    start = _Start(path, works, stage, bill, whole)
    try:
        start.fill(wish)
        return wish.kind(path, stage, bill, works, ended)
    except BaseException:
        with suppress(Exception):
            start.undo()
        stage.close()
        raise


def _opened(path: VirtualPath, works: Works, bill: Bill, *, replacing: bool) -> Stage:
    stage = works.stages.open_or_create(works.account_id, path, replacing=replacing)
    if stage.created:
        try:
            bill.hold_file()
        except BaseException:
            stage.remove()
            stage.close()
            raise
    return stage


class _Start:
    """An upload that has its stage and is about to begin."""

    def __init__(self, path: VirtualPath, works: Works, stage: Stage, bill: Bill, whole: Entry | None) -> None:
        self._path = path
        self._works = works
        self._stage = stage
        self._bill = bill
        self._whole = whole
        self._fresh = stage.created  # nothing is lost with the stage

    def fill(self, wish: Wish) -> None:
        """Make it hold what the upload is to begin with."""
        if self._stage.was_patched:  # what a process that died wrote in any order continues nothing
            self._drop_patches()
        size = None if self._stage.created else self._stage.size
        start = FROM_NOTHING  # as nearly all do
        if wish.offset or wish.append:
            start = self._start(wish, size)
        if wish.expected_size is not None:
            self._require_room(wish.expected_size, wish, size or 0)
        kept = start.offset if start.beginning is Beginning.STAGE else 0
        if size and size > kept:
            self._cut(kept, size)
        if start.beginning is Beginning.WHOLE:
            self._fresh = True
            self._begin_stage()
            self._copy(start.offset)

    def _start(self, wish: Wish, size: int | None) -> Start:
        present = Present(self._whole.size if self._whole else None, size)
        return start_of(str(self._path), present, offset=wish.offset, append=wish.append, knows_stage=wish.knows_stage)

    def _drop_patches(self) -> None:
        with self._works.changing:
            size = self._stage.size
            self._stage.empty()
            self._bill.refund(size)

    def _begin_stage(self) -> None:
        """It counts before anything is copied into it."""
        if self._stage.is_blank:
            with self._works.changing:
                self._stage.charged(0)
                self._bill.count_file()

    def _cut(self, kept: int, size: int) -> None:
        with self._works.changing:
            self._stage.truncate(kept)
            self._bill.refund(size - kept)

    def _require_room(self, expected_size: int, wish: Wish, staged: int) -> None:
        """Refuse an upload of an announced size before its first byte, when it cannot fit as things stand."""
        usage = self._works.ledger.usage(self._works.account_id)
        if usage.quota_bytes is None:
            return
        reserved = wish.reservation.size if wish.reservation else 0
        ours = staged + reserved + (self._whole.size if self._whole else 0)
        free = max(0, usage.quota_bytes - usage.used_bytes + ours)
        if expected_size > free:
            raise QuotaExceeded("bytes", usage.quota_bytes, free, expected_size)

    def _copy(self, size: int) -> None:
        """Begin with the first `size` bytes of the whole file."""
        with closing(_Source(self._works.jail.open_file(self._path))) as source:
            position = 0
            while position < size:
                step = min(COPY_BYTES, size - position)
                self._works.disk.take(step)
                with self._works.changing:
                    self._bill.charge(step)
                    copied = 0
                    try:
                        copied = source.copy_to(self._stage.fd, position, step)
                    finally:
                        self._bill.refund(step - copied)
                if not copied:
                    raise SourceChanged(str(self._path))
                position += copied

    def undo(self) -> None:
        """It cannot begin: what it made is thrown away."""
        with self._works.changing:
            if self._fresh:
                throw_away(self._stage, self._bill, self._stage.size)


class _Source:
    """The whole file that an upload begins with."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        os.close(self._fd)

    def copy_to(self, target: int, position: int, size: int) -> int:
        """Copy some bytes at `position`, at most `size`; 0 at the end of the file. Raises StorageError."""
        try:
            return self._copy(target, position, size)
        except OSError as error:
            raise storage_error(error) from error

    def _copy(self, target: int, position: int, size: int) -> int:
        try:
            return os.copy_file_range(self._fd, target, size, position, position)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
        block = os.pread(self._fd, min(size, _BLOCK_BYTES), position)
        return os.pwrite(target, block, position) if block else 0
