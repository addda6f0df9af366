"""Uploads: the bytes of one file on their way in.

The rule: a file appears under its name only when it is whole, charged, hashed and on the disk; until then the old one
stays, and what has come is kept in a stage from which a later upload goes on.

All methods block. An upload belongs to one transfer; calls from several threads wait for each other.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import NamedTuple, TypeVar

from homeport.core.arbiter import Arbiter
from homeport.core.bill import Bill
from homeport.core.count import Count
from homeport.core.digests import DigestStore
from homeport.core.disk_room import DiskRoom
from homeport.core.download import Download, Ended, Opened, Outcome
from homeport.core.durability import Durability, Policy
from homeport.core.entries import Entry
from homeport.core.errno_table import storage_error
from homeport.core.errors import (
    DigestMismatch,
    HomeportError,
    InvalidPath,
    QuotaExceeded,
    SizeMismatch,
    StorageFailed,
)
from homeport.core.growing_digest import Beside, GrowingDigest
from homeport.core.jail import Jail
from homeport.core.leases import NOTHING
from homeport.core.paths import VirtualPath
from homeport.core.quota import Changing, Ledger
from homeport.core.search import Search
from homeport.core.stages import STAGE_MODE, Stage, StageFolder

__all__ = ["Allow", "Download", "Ended", "Opened", "Outcome", "Stored", "Upload", "Works", "throw_away"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_NEVER = Policy.NEVER  # reading a member from its class takes its time


class Stored(NamedTuple):
    """A file that stands under its name: `size` in bytes, `sha256` in hexadecimal, whether it replaced one."""

    size: int
    sha256: str
    replaced: bool


# Raises when the account may not put a file in the place of what is there, if anything: asked at the start and again at
# the end, for rights and files may have changed meanwhile.
Allow = Callable[[VirtualPath, Entry | None], None]


class Works(NamedTuple):
    """What the uploads of one session work with: its account's home, and what the accounts share."""

    account_id: int
    jail: Jail
    ledger: Ledger
    changing: Changing  # as `Ledger.changing` gives it for the account
    stages: StageFolder
    digests: DigestStore
    durability: Durability
    arbiter: Arbiter
    beside: Beside
    disk: DiskRoom
    file_mode: int
    allow: Allow


class Upload:
    """One upload under way. Leaving its `with` block without `commit` keeps what came, to be continued.

    `offset` is how many bytes were there when it began, `moved` how many came since, `size` how many are there now.
    Where `modified_ns` is set, the file is to be that old, in nanoseconds since the epoch.
    """

    modified_ns: int | None = None

    def __init__(self, path: VirtualPath, stage: Stage, bill: Bill, works: Works, ended: Ended) -> None:
        """Take over a stage whose content is charged already, at whose end the upload goes on.

        The content is read again, for the digest covers the whole file.
        """
        self.path = path
        self._stage = stage
        self._bill = bill
        self._works = works
        self._ended = ended
        self._lock = threading.RLock()
        self._digest = GrowingDigest(stage.fd, works.beside)
        self._changing = works.changing
        self.offset = self.size = size = stage.size
        if size:
            self._digest.start(size)
        self.moved = 0
        self._refusal: QuotaExceeded | None = None
        self._replacing: Entry | None = None
        self._worthless = False
        self._sealed: str | None = None  # the digest, when nothing more comes
        self._overfull = False
        self._closed = False
        self._turn = works.arbiter.enter(works.account_id, self)

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._closed:
            self.abort(str(error) if isinstance(error, HomeportError) else "broken off")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add `data`. Raises QuotaExceeded (nothing of it was added), StorageFull, StorageFailed, LedgerBusy."""
        view = memoryview(data).cast("B")
        try:
            self._write(view, self._works.ledger.at_once)
        except QuotaExceeded:
            if self._refusal:
                raise
            self._overfull = True
            with self._works.arbiter.searching(self._works.account_id):
                self._write_making_room(view)
            self._overfull = False

    def commit(self, *, expected_size: int | None = None, expected_sha256: str | None = None) -> Stored:
        """Put the file in place, where it stands whole and lasting when this returns.

        Raises SizeMismatch (what came is kept), DigestMismatch (it is not), RightMissing when there is a file now that
        the account may not replace, QuotaExceeded when the room of the file to be replaced has been used otherwise,
        what Jail.install raises, and StorageError. `abort` is to follow.
        """
        durability = self._works.durability
        with self._lock:
            self._seal(expected_size, expected_sha256)
            if durability.policy is _NEVER:
                return self._conclude(self._install(None))
            try:
                durability.flush(self._stage.fd)
            except HomeportError:
                self.spoil()
                raise
            return self._conclude(self._install(durability.flush_directory))

    # A commit's steps, for whoever makes several uploads last at once: see `homeport.core.group_commit`.

    def fileno(self) -> int:
        """The descriptor whose bytes must last before `install`."""
        return self._stage.fd

    def seal(self, *, expected_size: int | None = None, expected_sha256: str | None = None) -> None:
        """Nothing more comes: compare, and keep the digest with the stage, so that both arrive in one step.

        Raises as `commit` does.
        """
        with self._lock:
            self._seal(expected_size, expected_sha256)

    def spoil(self) -> None:
        """It could not be made to last: the kernel may have dropped what it could not write and will not say so again.

        `abort` is to follow.
        """
        self._worthless = True

    def install(self, flush: Callable[[int], None] | None) -> HomeportError | None:
        """Put the sealed file in place; `flush`, if any, gets the folder's descriptor. Raises as `commit` does.

        Returns why it may not last although it is in place.
        """
        with self._lock:
            self._require_open()
            return self._install(flush)

    def conclude(self, failure: HomeportError | None) -> Stored:
        """The end of an upload that was put in place; raises `failure`, why it may not last, if there is one."""
        with self._lock:
            return self._conclude(failure)

    def sha256_so_far(self) -> str:
        """The digest of what is there now, in hexadecimal: what a client compares that goes on from `offset`."""
        with self._lock:
            return self._digest.hexdigest()

    def abort(self, reason: str) -> None:
        """End without a file. What came is kept unless it is worthless or has no room; does nothing after the end.

        What was borrowed against the file that was to be replaced is cut off again, for that file stays.
        """
        with self._lock:
            if self._closed:
                return
            try:
                with self._changing:
                    self._keep_what_fits()
            except HomeportError as error:
                _log.warning("account %d: a stage could not be set right: %s", self._works.account_id, error)
            finally:
                self._close(None, reason)

    def give_way(self, error: QuotaExceeded) -> None:
        """Give back all room for an older upload; every later call raises `error`. See `Arbiter`."""
        account_id = self._works.account_id
        self._refusal = self._refusal or error  # before the lock: a write that is busy now is the last one
        with self._lock:
            if self._closed:
                return
            try:
                with self._changing:
                    if self.size:
                        self._cut(0)
            except HomeportError as failure:
                _log.warning("account %d: a stage could not give its room back: %s", account_id, failure)
            finally:
                self._works.arbiter.leave(account_id, self._turn)

    def _require_open(self) -> None:
        if self._refusal:
            raise self._refusal
        if self._closed:
            raise ValueError("this upload has ended")

    def _write(self, view: memoryview, search: Search) -> None:
        works, size = self._works, len(view)
        with self._lock:
            self._require_open()
            works.disk.take(size)
            with self._changing:
                self._bill.charge(size, search=search)
                self._add(view, size)

    def _write_making_room(self, view: memoryview) -> None:
        """Write when the young uploads have given way; if this one is too young itself, give way at once.

        Waits without the lock and outside `changing`, so that this upload can be asked to give way, too.
        """
        search = self._works.ledger.search(self._works.account_id, self._turn)
        while True:
            try:
                self._write(view, search)
            except QuotaExceeded as refusal:
                if self._refusal or not search.goes_on(refusal):
                    raise
            else:
                return

    def _add(self, view: memoryview, size: int) -> None:
        """Write the `size` bytes of `view`, which are charged."""
        start, written = self.size, 0
        try:
            while written < size:
                written += self._pour(view[written:] if written else view)
                self.size = start + written
        finally:
            try:
                if written and self._stage.is_blank:
                    self._count_stage()
            finally:
                written = self.size - start  # nothing, where the stage could not be made to count
                self.moved += written
                if written < size:
                    self._bill.refund(size - written)
                self._digest.grew(view[:written] if written < size else view)

    def _count_stage(self) -> None:
        """From now on the stage counts, with what has come."""
        size, self.size = self.size, 0
        self._stage.charged(size)
        self._bill.count_file()
        self.size = size

    def _pour(self, view: memoryview) -> int:
        try:
            count = os.pwrite(self._stage.fd, view, self.size)
        except OSError as error:
            raise storage_error(error) from error
        if not count:
            raise StorageFailed("nothing was written")
        return count

    def _seal(self, expected_size: int | None, expected_sha256: str | None) -> None:
        self._require_open()
        digest = self._digest.hexdigest()
        if expected_size is not None or expected_sha256 is not None:
            self._compare(digest, expected_size, expected_sha256)
        if self._stage.is_blank:  # nothing came
            with self._changing:
                self._count_stage()
        if self.modified_ns is not None:
            self._set_modified(self.modified_ns)
        self._works.digests.store(self._stage.fd, digest)
        self._sealed = digest

    def _compare(self, digest: str, expected_size: int | None, expected_sha256: str | None) -> None:
        if expected_size is not None and expected_size != self.size:
            raise SizeMismatch(str(self.path), expected_size, self.size)
        if expected_sha256 is not None and expected_sha256.lower() != digest:
            self._worthless = True
            raise DigestMismatch(str(self.path), expected_sha256.lower(), digest)

    def _set_modified(self, modified_ns: int) -> None:
        try:
            os.utime(self._stage.fd, ns=(modified_ns, modified_ns))
        except OverflowError as error:
            raise InvalidPath(str(self.path), "the file system cannot hold this time") from error
        except OSError as error:
            raise storage_error(error) from error

    def _install(self, flush_directory: Callable[[int], None] | None) -> HomeportError | None:
        """Put the stage in place and settle the bill; why it may not last."""
        assert self._sealed is not None, "only what was sealed is put in place"
        failures: list[HomeportError] = []
        # In place already: a failure must not keep the bill from being settled.
        flush = None if flush_directory is None else partial(_caught, failures, flush_directory)
        stage, works = self._stage, self._works
        with self._changing:
            try:
                works.jail.install(stage.directory_fd, stage.name, self.path, approve=self._approve, flush=flush)
            except HomeportError as error:
                if self._is_staged():
                    raise
                failures.append(error)
            there = self._replacing
            if there is not None:
                stage.took_place()
            try:
                self._bill.replace(NOTHING if there is None else Count.of(there))
            except HomeportError as error:
                failures.append(error)
        return failures[0] if failures else None

    def _conclude(self, failure: HomeportError | None) -> Stored:
        assert self._sealed is not None, "only what was sealed is put in place"
        self._close(self._sealed, str(failure) if failure else None)
        if failure:
            raise failure
        return Stored(self.size, self._sealed, self._replacing is not None)

    def _is_staged(self) -> bool:
        """Whether the stage has its name still, after it could not be put in place; it gets its mode back."""
        if not self._stage.is_staged():
            return False
        self._set_mode(STAGE_MODE)
        return True

    def _approve(self, there: Entry | None) -> None:
        """The last moment before the new file replaces what is `there`."""
        self._works.allow(self.path, there)
        if self._bill.borrowed is not NOTHING:
            self._bill.cover(NOTHING if there is None else Count.of(there))
        self._replacing = there
        mode = (self._works.file_mode if there is None else there.mode) & 0o777
        if mode != STAGE_MODE:
            self._set_mode(mode)

    def _set_mode(self, mode: int) -> None:
        try:
            os.fchmod(self._stage.fd, mode)
        except OSError as error:
            raise storage_error(error) from error

    def _keep_what_fits(self) -> None:
        kept = 0 if self._worthless or self._refusal else self.size - self._bill.borrowed.bytes
        if self._overfull:  # what is too large leaves all as it was, not a quota full of what nobody can see
            kept = 0 if self._stage.created else min(kept, self.offset)
        if kept <= 0 or self._bill.borrowed.files:
            throw_away(self._stage, self._bill, self.size)
            self.size = 0
        elif kept < self.size:
            self._cut(kept)

    def _cut(self, size: int) -> None:
        self._stage.truncate(size)
        self._bill.refund(self.size - size)
        self.size = size

    def _close(self, digest: str | None, reason: str | None) -> None:
        self._closed = True
        self._works.arbiter.leave(self._works.account_id, self._turn)
        self._digest.stop()
        self._stage.close()
        try:
            self._bill.release()
        except HomeportError as error:
            _log.warning("account %d: a reservation could not be given back: %s", self._works.account_id, error)
        self._ended(Outcome(self.path, self.offset, self.moved, self.size, digest, reason))


def throw_away(stage: Stage, bill: Bill, size: int) -> None:
    """Remove a stage that holds `size` bytes, and give its room back; called inside `Ledger.changing`."""
    if stage.is_blank:  # it costs nothing on the disk, whether or not it can be removed
        bill.refund(files=1)
        stage.remove()
    else:
        stage.remove()
        bill.refund(size, 1)


def _caught(failures: list[HomeportError], act: Callable[[T], None], subject: T) -> None:
    try:
        act(subject)
    except HomeportError as error:
        failures.append(error)
