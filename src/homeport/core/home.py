"""One session's view of one account's home: the only face of the core that servers use.

The rule: every deed asks the account's rights first, goes through the jail, is charged or refunded in the ledger within
the same shared section, and leaves its line in the audit log. No server has another way to the disk.

All methods block; several sessions of an account, and several threads of a session, may work at once. Errors are those
of `homeport.core.errors`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property

from homeport.core.accounts import Account
from homeport.core.audit_events import (
    Copied,
    Deleted,
    DirectoryMade,
    DirectoryRemoved,
    Downloaded,
    Renamed,
    Uploaded,
)
from homeport.core.bill import Reservation
from homeport.core.chronicle import Chronicle
from homeport.core.count import Count
from homeport.core.digests import digest_of
from homeport.core.entries import Entry
from homeport.core.errors import (
    AlreadyExists,
    Busy,
    HomeportError,
    IsADirectory,
    NotFound,
    OffsetPastEnd,
    PathError,
    RightMissing,
    StorageFull,
)
from homeport.core.group_commit import commit_together
from homeport.core.home_services import HomeServices, Modes
from homeport.core.jail import Jail, require_file
from homeport.core.outside import Outside
from homeport.core.paths import VirtualPath, unlike_others
from homeport.core.quota import Usage
from homeport.core.random_access import PatchedUpload
from homeport.core.rights import Rights
from homeport.core.scanning import Looks, Wanted
from homeport.core.sessions import SessionRecord
from homeport.core.starting import Wish, start_upload
from homeport.core.transfer import Download, Ended, Opened, Outcome, Stored, Upload, Works

__all__ = ["Home", "HomeServices", "Modes"]

_STORE = Rights.WRITE | Rights.OVERWRITE
_LOOK_OR_STORE = Rights.LIST | Rights.WRITE
_UNIQUE_TRIES = 16
_COPY_BLOCK_BYTES = 1024 * 1024


class Home:
    """One account's files, as one session may use them. Close it when the session ends."""

    def __init__(self, account: Account, services: HomeServices, session: SessionRecord) -> None:
        """Open the home. Raises HomeUnavailable, StageElsewhere."""
        self._account = account
        self._services = services
        self._chronicle = Chronicle(services.audit, session, services.clock)
        self._lock = threading.Lock()
        self._reservation: Reservation | None = None
        self._jail = Jail(account.home)
        try:
            services.stages.require_beside(self._jail)
        except BaseException:
            self._jail.close()
            raise

    def __enter__(self) -> Home:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End: what was reserved is given back. Transfers are to have ended before."""
        self._drop_reservation()
        self._jail.close()
        vars(self).pop("_works", None)  # which know this home: a circle

    @property
    def account(self) -> Account:
        """The account as it is known now."""
        return self._account

    @property
    def outside(self) -> Outside:
        """For what commands of the account change, which Homeport does not see."""
        return Outside(self._account.id, self._services.ledger, self._services.stages, self._jail)

    def refresh(self, account: Account) -> None:
        """Rights or limits were changed: they hold from the next deed on."""
        self._account = account

    # Looking

    def stat(self, path: VirtualPath, *, follow: bool = True) -> Entry:
        """What is at `path`; with `follow`, a link inside the home is answered by what it leads to."""
        return self.find(path, Rights.LIST, follow=follow)

    def find(self, path: VirtualPath, needed: Rights, *, follow: bool = True) -> Entry:
        """As `stat`, on the way to a deed that needs these rights: RNFR asks so whether there is what RNTO renames."""
        return Entry.of(path.name, self.look(path, needed, follow=follow))

    def look(self, path: VirtualPath, needed: Rights = Rights.LIST, *, follow: bool = True) -> os.stat_result:
        """As `find`, in the kernel's own words: for lines of listings."""
        with self._chronicle.looking("stat", path):
            self._require(needed, path)
            return self._jail.look(path, follow=follow)

    def list(self, path: VirtualPath, *, through_links: bool = True) -> AbstractContextManager[Iterator[Entry]]:
        """The entries of a folder, read as they are asked for; `through_links`, those inside as what they lead to."""
        with self._chronicle.looking("list", path):
            self._require(Rights.LIST, path)
        return self._jail.scan(path, through_links=through_links)

    def read_link(self, path: VirtualPath) -> str:
        """Where the link at `path` leads, as it says itself. Raises OutsideHome for one that says a way out."""
        with self._chronicle.looking("read link", path):
            self._require(Rights.LIST, path)
            return self._jail.read_link(path)

    def looks(self, path: VirtualPath, wanted: Wanted | None = None) -> Looks:
        """As `list`, in the kernel's own words; of names that are not `wanted` None, which costs no look."""
        with self._chronicle.looking("list", path):
            self._require(Rights.LIST, path)
        return self._jail.looks(path, wanted)

    def names(self, path: VirtualPath) -> AbstractContextManager[Iterator[str]]:
        """The names in a folder, read as they are asked for."""
        with self._chronicle.looking("list", path):
            self._require(Rights.LIST, path)
        return self._jail.names(path)

    def resume_size(self, path: VirtualPath) -> int:
        """From which byte an upload of `path` may go on: the whole file's size, else that of what came of it.

        Raises NotFound when there is neither.
        """
        with self._chronicle.looking("size", path):
            rights = self._account.rights
            if not rights.allows_any(_LOOK_OR_STORE):
                raise RightMissing(str(path), "list")
            try:
                there = self._jail.stat(path)
            except NotFound:
                size = self._services.stages.size_of(self._account.id, path) if Rights.WRITE in rights else None
                if size is None:
                    raise
                return size
            self._require(Rights.LIST, path)
            require_file(there, path)
            return there.size

    def partial_size(self, path: VirtualPath) -> int:
        """How many bytes of an interrupted upload of `path` are kept, whether or not a whole file is there."""
        self._require(Rights.WRITE, path)
        return self._services.stages.size_of(self._account.id, path) or 0

    def digest(self, path: VirtualPath, algorithm: str = "SHA-256", start: int = 0, end: int | None = None) -> str:
        """The digest of the bytes from `start` up to, not including, `end` (None: the end), in hexadecimal.

        `algorithm` is a key of `digests.ALGORITHMS`. The SHA-256 of a whole file is answered from what is kept beside
        it, else computed and kept. Raises OffsetPastEnd when `start` or `end` lie behind the file's end.
        """
        with self._chronicle.looking("digest", path), self._opened(path, Rights.READ) as fd:
            found = os.fstat(fd)
            past = max(start, end or 0)
            if past > found.st_size:
                raise OffsetPastEnd(str(path), past, found.st_size)
            whole = algorithm == "SHA-256" and start == 0 and end in (None, found.st_size)
            return self._whole_digest(fd, found) if whole else digest_of(fd, algorithm, start, end)

    def kept_digest(self, path: VirtualPath) -> str | None:
        """The SHA-256 that is kept beside a file, where it has one that still counts and may be read; no more work."""
        if not self._account.rights.allows(Rights.READ):
            return None
        try:
            fd, found = self._jail.open_and_look(path)
        except PathError:
            return None
        try:
            return self._services.digests.load(fd, found)
        finally:
            os.close(fd)

    def usage(self) -> Usage:
        """What the account uses and may use."""
        return self._services.ledger.usage(self._account.id)

    def free_bytes(self) -> int:
        """How many bytes may still be stored: what the quota and the disk both allow."""
        usage, free = self.usage(), self._jail.free_bytes()
        return free if usage.quota_bytes is None else min(free, max(0, usage.quota_bytes - usage.used_bytes))

    # Changing

    def make_directory(self, path: VirtualPath) -> None:
        """Make one folder. Raises AlreadyExists, NotFound, QuotaExceeded."""
        with self._changing("mkdir", path):
            self._require(Rights.MKDIR, path)
            ledger, account_id = self._services.ledger, self._account.id
            ledger.charge(account_id, files=1)
            try:
                self._jail.make_directory(path, self._services.modes.directory)
            except BaseException:
                ledger.refund(account_id, files=1)
                raise
            self._jail.sync_directory(path.parent, self._services.durability.flush_directory)
        self._chronicle.done(DirectoryMade, path)

    def remove_directory(self, path: VirtualPath) -> None:
        """Remove an empty folder."""
        with self._changing("rmdir", path):
            self._require(Rights.DELETE, path)
            self._jail.remove_directory(path)
            self._services.ledger.refund(self._account.id, files=1)
        self._chronicle.done(DirectoryRemoved, path)

    def remove_file(self, path: VirtualPath) -> None:
        """Remove what is no folder; a link itself, not what it leads to. Raises IsADirectory.

        Where there is nothing but an unfinished upload, that one is thrown away, unless it is under way.
        """
        with self._changing("delete", path):
            self._require(Rights.DELETE, path)
            try:
                self._refund(self._jail.remove_file(path))
            except NotFound:
                if not self._throw_stage_away(path):
                    raise
        self._chronicle.done(Deleted, path)

    def rename(self, source: VirtualPath, target: VirtualPath, *, replace: bool = True) -> None:
        """Give `source` the name `target`. What is there is replaced in the same step, if the account may overwrite.

        Without `replace` nothing is (AlreadyExists).
        """
        with self._changing("rename", source):
            self._require(Rights.RENAME, source)
            allowed = self._account.rights.allows(Rights.OVERWRITE)
            try:
                replaced = self._jail.rename(source, target, replace=replace and allowed)
            except AlreadyExists as error:
                if not replace:
                    raise
                raise RightMissing(str(target), "overwrite") from error
            if replaced:
                self._refund(replaced)
        self._chronicle.done_both(Renamed, source, target)

    def copy(self, source: VirtualPath, target: VirtualPath) -> Stored:
        """Store the file `source` again as `target`, which appears whole or not at all."""
        with (
            self._chronicle.deed("copy", source),
            self._download(source, 0, _untold) as download,
            self._upload(target, Wish(expected_size=download.size), _untold) as upload,
        ):
            block = memoryview(bytearray(_COPY_BLOCK_BYTES))
            while count := download.read_into(block):
                upload.write(block[:count])
            stored = upload.commit(expected_size=download.size)
        self._chronicle.done_both(Copied, source, target)
        return stored

    def set_modified(self, path: VirtualPath, mtime_ns: int) -> Entry:
        """Set when a file or folder was last changed, in nanoseconds since the epoch; its kept digest stays valid."""
        with self._chronicle.deed("set time", path):
            try:
                with self._opened(path, Rights.CHANGE) as fd:
                    before = os.fstat(fd)
                    entry = self._jail.set_times(path, mtime_ns)
                    if (entry.device, entry.inode) == (before.st_dev, before.st_ino):
                        self._services.digests.restamp(fd, before)
                    return entry
            except IsADirectory:
                return self._jail.set_times(path, mtime_ns)

    def set_mode(self, path: VirtualPath, mode: int) -> Entry:
        """Set the permission bits; set-uid, set-gid and sticky are dropped."""
        with self._chronicle.deed("set mode", path):
            self._require(Rights.CHANGE, path)
            return self._jail.set_mode(path, mode)

    # Transfers

    def begin_download(self, path: VirtualPath, offset: int = 0, *, may_block: bool = True) -> Download:
        """Open the file as it is now, to be sent from byte `offset` on. Raises OffsetPastEnd.

        Without `may_block` it does what the kernel can do from memory, or raises WouldBlock and has done nothing: for
        an event loop, which then leaves it to a thread. `Download.read_now` goes with it.
        """
        try:
            return self._download(path, offset, self._chronicle.transfer(Downloaded), may_block=may_block)
        except HomeportError as error:  # as `deed`, which costs a microsecond for each small file
            self._chronicle.refused("download", path, error)
            raise

    def begin_upload(
        self,
        path: VirtualPath,
        *,
        offset: int | None = None,
        append: bool = False,
        new: bool = False,
        expected_size: int | None = None,
        knows_stage: bool = False,
    ) -> Upload:
        """Begin to store `path`: from its beginning, from byte `offset` on, or with `append` from its end on.

        `knows_stage`: the peer has `partial_size`, and means by `offset` what that is of, not a file as long as that.
        `new` never replaces a file (AlreadyExists). An `expected_size` in bytes that has no room is refused at once.
        What was reserved before is used. Raises Busy while another upload of the path is under way, OffsetPastEnd.
        """
        reservation = self._take_reservation()
        wish = Wish(offset, append, expected_size, reservation, knows_stage=knows_stage)
        return self._begin(path, wish, new=new)

    def begin_patch(
        self,
        path: VirtualPath,
        *,
        offset: int | None = None,
        append: bool = False,
        new: bool = False,
        expected_size: int | None = None,
    ) -> PatchedUpload:
        """As `begin_upload`, for bytes that may come in any order."""
        wish = Wish(offset, append, expected_size, self._take_reservation(), PatchedUpload)
        upload = self._begin(path, wish, new=new)
        assert isinstance(upload, PatchedUpload)
        return upload

    def commit_together(self, sealed: Sequence[Upload]) -> Sequence[Stored | HomeportError]:
        """End many uploads at once, each as `Upload.commit` does; see `homeport.core.group_commit`."""
        return commit_together(sealed, self._services.durability)

    def unique_name(self, path: VirtualPath) -> VirtualPath:
        """`path`, or one resembling it, where nothing is and nothing is coming: for `begin_upload(..., new=True)`."""
        self._require(Rights.WRITE, path)
        if not path.is_root and not self._is_taken(path):
            return path
        for _ in range(_UNIQUE_TRIES):
            candidate = path.parent.child(unlike_others(path.name))
            if not self._is_taken(candidate):
                return candidate
        raise AlreadyExists(str(path))

    def reserve(self, size: int) -> Reservation:
        """Keep room of `size` bytes for the session's next upload, in place of an earlier one.

        Raises QuotaExceeded, and StorageFull where there is no quota and the disk has not as much.
        """
        self._drop_reservation()
        with self._chronicle.deed("reserve", VirtualPath()):
            # Without this bound, a few sessions could reserve more than the ledger can count.
            if self._account.quota_bytes is None and size > self._jail.free_bytes():
                raise StorageFull
            reservation = Reservation(self._services.ledger, self._account.id, size)
        with self._lock:
            self._reservation = reservation
        return reservation

    def _begin(self, path: VirtualPath, wish: Wish, *, new: bool) -> Upload:
        try:
            return self._upload(path, wish, self._chronicle.transfer(Uploaded), new=new)
        except BaseException as error:
            if isinstance(error, HomeportError):
                self._chronicle.refused("upload", path, error)
            if wish.reservation:
                wish.reservation.release()
            raise

    def _download(self, path: VirtualPath, offset: int, ended: Ended, *, may_block: bool = True) -> Download:
        self._require(Rights.READ, path)
        fd, found = self._jail.open_and_look(path, may_block=may_block)
        try:
            if offset > found.st_size:
                raise OffsetPastEnd(str(path), offset, found.st_size)
            sha256 = self._services.digests.load(fd, found, may_block=may_block)
            return Download(path, Opened(fd, found), offset, ended, sha256=sha256)
        except BaseException:
            os.close(fd)
            raise

    def _upload(self, path: VirtualPath, wish: Wish, ended: Ended, *, new: bool = False) -> Upload:
        if not self._account.rights.allows_any(_STORE):
            raise RightMissing(str(path), "write")
        works = self._works._replace(allow=self._allow_new) if new else self._works
        return start_upload(path, wish, works, ended)

    @cached_property
    def _works(self) -> Works:
        """Made for the first upload: most sessions make none, and who makes one makes many."""
        return self._services.works(self._account.id, self._jail, self._allow_any)

    def _take_reservation(self) -> Reservation | None:
        if self._reservation is None:
            return None
        with self._lock:
            reservation, self._reservation = self._reservation, None
        return reservation

    def _drop_reservation(self) -> None:
        reservation = self._take_reservation()
        if reservation:
            reservation.release()

    def _is_taken(self, path: VirtualPath) -> bool:
        if self._services.stages.size_of(self._account.id, path) is not None:
            return True
        try:
            self._jail.stat(path, follow=False)
        except NotFound:
            return False
        return True

    # Rights and charges

    def _require(self, needed: Rights, path: VirtualPath) -> None:
        if not self._account.rights.allows(needed):
            raise RightMissing(str(path), needed.names()[0])

    def _allow_any(self, path: VirtualPath, there: Entry | None) -> None:
        needed = Rights.OVERWRITE if there else Rights.WRITE
        if not self._account.rights.allows(needed):
            raise RightMissing(str(path), needed.names()[0])

    def _allow_new(self, path: VirtualPath, there: Entry | None) -> None:
        self._require(Rights.WRITE, path)
        if there:
            raise AlreadyExists(str(path))

    @contextmanager
    def _opened(self, path: VirtualPath, needed: Rights) -> Iterator[int]:
        self._require(needed, path)
        fd = self._jail.open_file(path)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _changing(self, deed: str, path: VirtualPath) -> Iterator[None]:
        with self._chronicle.deed(deed, path), self._services.ledger.changing(self._account.id):
            yield

    def _throw_stage_away(self, path: VirtualPath) -> bool:
        """Whether there was an unfinished upload. One under way stays, as unseen as the file that it will become."""
        try:
            gone = self._services.stages.remove(self._account.id, path)
        except Busy:
            return False
        self._services.ledger.refund(self._account.id, gone.bytes, gone.files)
        return gone.files > 0

    def _refund(self, gone: Entry) -> None:
        cost = Count.of(gone)
        self._services.ledger.refund(self._account.id, cost.bytes, cost.files)

    def _whole_digest(self, fd: int, found: os.stat_result) -> str:
        digest = self._services.digests.load(fd, found)
        if digest is None:
            digest = digest_of(fd)
            after = os.fstat(fd)
            if (after.st_size, after.st_mtime_ns) == (found.st_size, found.st_mtime_ns):
                self._services.digests.store(fd, digest)
        return digest


def _untold(_: Outcome) -> None:
    """A copy's two halves are no transfers."""
