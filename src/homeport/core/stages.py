"""Unfinished uploads: files kept outside every home, on the same file system, until they are renamed into place.

The rule: a stage belongs to one account and one path, and to one upload at a time, which holds an exclusive lock on
the file itself. A lock counts only while its file still has the stage's name: whoever waited behind a rename or a
removal holds a lock on something else, and looks again.

    stage/                  0700
        17/                 0700, one an account, named by its id
            5e88489...      0600, named by the SHA-256 of the path
            9f86d08...      1600: a blank (`homeport.core.blanks`), free of charge until an upload takes it
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from homeport.core.blanks import BLANK_MODE, is_blank
from homeport.core.count import Count
from homeport.core.disk_room import DiskRoom
from homeport.core.entries import Entry, Kind
from homeport.core.errno_table import storage_error
from homeport.core.errors import Busy, StageElsewhere
from homeport.core.jail import Jail
from homeport.core.locks import try_exclusive
from homeport.core.paths import VirtualPath, name_bytes
from homeport.core.renaming import Place, rename_to_new
from homeport.core.scanning import entries_of
from homeport.core.tree import mount_of

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STAGE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_CREAT | os.O_EXCL
_TRIES = 16
_MOMENT_S = 0.002
_MOMENTS = 500
_FOLDERS_HELD = 64  # descriptors of one process, whatever the number of accounts
_BLANKS_KEPT = 256  # of one account by one process
STAGE_MODE = 0o600
PATCHED_MODE = 0o700  # of a stage whose bytes came in any order: its size says nothing of how much is there
_NAME = re.compile(r"[0-9a-f]{64}")


def stage_name(path: VirtualPath) -> str:
    """What the stage of `path` is called: paths may be longer than a name may be."""
    return hashlib.sha256(name_bytes(str(path))).hexdigest()


class Stage:
    """One account's stage of one path, locked until `close`. The descriptor `fd` reads and writes.

    `created` says that it was not there before. Then it is a blank, whose bytes mean nothing, until `charged`.
    `was_patched`: what it held when it was opened came in any order.
    """

    __slots__ = ("_folder", "_stale", "created", "fd", "is_blank", "name", "was_patched")

    def __init__(self, fd: int, folder: AccountFolder, name: str, found: os.stat_result) -> None:
        """Take over the descriptor of the file that is `found` there."""
        self.fd = fd
        self._folder = folder
        self._stale = found.st_size
        self.name = name
        self.created = self.is_blank = is_blank(found.st_mode)
        self.was_patched = _is_patched(found.st_mode)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def directory_fd(self) -> int:
        """The folder that it lies in, open as long as the stage is."""
        return self._folder.fd

    @property
    def size(self) -> int:
        """Its length in bytes."""
        if self.is_blank:
            return 0
        with _storage_errors:
            return os.fstat(self.fd).st_size

    def charged(self, size: int = 0) -> None:
        """From now on it counts, with the `size` bytes that were written and charged; nothing else is in it."""
        try:
            if self._stale > size:
                os.ftruncate(self.fd, size)
            os.fchmod(self.fd, STAGE_MODE)
        except OSError as error:
            raise storage_error(error) from error
        self.is_blank = False

    def empty(self) -> None:
        """Throw away what a process that died wrote in any order."""
        with _storage_errors:
            os.ftruncate(self.fd, 0)
            os.fchmod(self.fd, STAGE_MODE)

    def truncate(self, size: int) -> None:
        """Cut it to `size` bytes, or stretch it with zeros; it counts already."""
        with _storage_errors:
            os.ftruncate(self.fd, size)

    def remove(self) -> None:
        """Throw it away, unless it has been put into place already. It stays locked, nameless, until `close`."""
        with _storage_errors:
            if self.is_staged():
                os.unlink(self.name, dir_fd=self.directory_fd)

    def is_staged(self) -> bool:
        """Whether it has its name still, and has not been put into place."""
        with _storage_errors:
            return _is_called(self.directory_fd, self.name, os.fstat(self.fd))

    def took_place(self) -> None:
        """It was put in the place of another file, which may lie under the stage's name now, as a blank.

        Of those only so many are kept.
        """
        blanks = self._folder.blanks
        while len(blanks) >= _BLANKS_KEPT:
            with suppress(OSError, KeyError):  # it costs nobody anything
                _remove_unlocked(self.directory_fd, blanks.popitem()[0], lambda found: is_blank(found.mode))
        blanks[self.name] = None

    def close(self) -> None:
        """Let others have it, in place or not. May be called again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
            del self._folder


class AccountFolder:
    """One account's folder of stages, held open; it closes when nobody uses it any more.

    `blanks` are names of blanks that this process left in it, for whoever needs a new file; some may be gone.
    """

    __slots__ = ("blanks", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.blanks: dict[str, None] = {}  # a set of which any can be taken in one step, whatever other threads do

    def __del__(self) -> None:
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A stage at rest: its file's name, `size` in bytes, and when it last grew."""

    name: str
    size: int
    mtime_ns: int


class StageFolder:
    """The folder of all stages. Thread-safe, and safe between processes; close it when done.

    `disk` is what uploads ask for room.
    """

    def __init__(self, root: Path, reserve_bytes: int = 0) -> None:
        """Open the folder, making it if its parent is there. Raises StorageFailed."""
        with _storage_errors:
            root.mkdir(mode=0o700, exist_ok=True)
            self._fd = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
        self.disk = DiskRoom(self._fd, reserve_bytes)
        self._lock = threading.Lock()
        self._folders: dict[int, AccountFolder] = {}

    def __enter__(self) -> StageFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder. Stages that are open stay so."""
        self._folders.clear()
        os.close(self._fd)

    def require_beside(self, home: Jail) -> None:
        """Raise StageElsewhere when stages cannot be renamed into `home`: another file system, another mount."""
        with _storage_errors:
            here = mount_of(self._fd)
        if home.mount() != here:
            raise StageElsewhere

    def open_or_create(self, account: int, path: VirtualPath, *, replacing: bool = False) -> Stage:
        """The stage of `path`, which is empty if it was not there before. Raises Busy when another upload has it.

        `replacing`: it will leave a blank of its name, so until there are many none is taken from another name.
        """
        name = stage_name(path)
        try:
            folder = self._folders.get(account) or self._held(account)
            try:
                found = _open_locked(folder, name, replacing)
            except FileNotFoundError:  # somebody removed the folder
                folder = self._held(account)
                found = _open_locked(folder, name, replacing)
        except OSError as error:
            raise storage_error(error) from error
        if found is None:
            del folder  # a traceback that somebody keeps must not keep the folder open
            raise Busy(str(path))
        return Stage(found[0], folder, name, found[1])

    def size_of(self, account: int, path: VirtualPath) -> int | None:
        """How many bytes of `path` have come so far; None when there is no stage to go on with. Needs no lock."""
        with self._existing(account) as folder:
            entry = None if folder is None else _look(folder, stage_name(path))
        return None if entry is None or is_blank(entry.mode) or _is_patched(entry.mode) else entry.size

    def remove(self, account: int, path: VirtualPath) -> Count:
        """Throw the stage of `path` away; returns what it cost, nothing if there was none. Raises Busy."""
        with self._existing(account) as folder:
            if folder is None:
                return Count()
            entry = _look(folder, stage_name(path))
            removed = Count() if entry is None else _remove_unlocked(folder, entry.name, lambda _: True)
        if removed is None:
            raise Busy(str(path))
        return removed

    def drop(self, account: int, name: str) -> Count | None:
        """As `remove`, by the stage's own name; None while an upload has it."""
        with self._existing(account) as folder:
            return Count() if folder is None else _remove_unlocked(folder, name, lambda _: True)

    def accounts(self) -> list[int]:
        """The ids of the accounts that have, or had, stages."""
        with _storage_errors:
            return sorted(int(entry.name) for entry in entries_of(self._fd) if entry.name.isdecimal())

    def of(self, account: int) -> list[StageRecord]:
        """The stages of one account, those being written included."""
        with self._existing(account) as folder:
            if folder is None:
                return []
            return [StageRecord(e.name, e.size, e.mtime_ns) for e in _stages_in(folder) if not is_blank(e.mode)]

    def count(self, account: int) -> Count:
        """What the stages of one account cost."""
        stages = self.of(account)
        return Count(sum(stage.size for stage in stages), len(stages))

    def expire(self, account: int, max_age_s: float, now: float) -> Count:
        """Remove the account's stages that have not grown for `max_age_s` seconds at `now` (seconds since the epoch).

        Blanks go likewise. Those being written stay. Returns what the removed ones cost, for the ledger.
        """
        oldest_ns = (now - max_age_s) * 1e9
        removed = Count()
        with self._existing(account) as folder:
            for entry in () if folder is None else list(_stages_in(folder)):
                assert folder is not None
                gone = _remove_unlocked(folder, entry.name, lambda found: found.mtime_ns <= oldest_ns)
                removed += gone or Count()
        return removed

    def _folder(self, account: int) -> int:
        return os.open(str(account), _FOLDER, dir_fd=self._fd)

    def _held(self, account: int) -> AccountFolder:
        """The account's folder, made if need be, and kept open for the next upload."""
        with suppress(FileExistsError):
            os.mkdir(str(account), 0o700, dir_fd=self._fd)
        folder = AccountFolder(self._folder(account))
        with self._lock:
            while len(self._folders) >= _FOLDERS_HELD:
                del self._folders[next(iter(self._folders))]
            self._folders[account] = folder
        return folder

    @contextmanager
    def _existing(self, account: int) -> Iterator[int | None]:
        """The account's folder for as long as the block runs, or None; OSErrors become storage errors."""
        with _storage_errors:
            try:
                folder = self._folder(account)
            except FileNotFoundError:
                yield None
                return
            try:
                yield folder
            finally:
                os.close(folder)


def _open_locked(folder: AccountFolder, name: str, replacing: bool) -> tuple[int, os.stat_result] | None:
    """The stage called `name`, locked, which may be a blank; None when somebody else has it."""
    slipped = waited = 0
    own_alone = replacing and name not in folder.blanks and len(folder.blanks) < _BLANKS_KEPT
    while slipped < _TRIES and waited < _MOMENTS:
        try:
            own = None if own_alone else _rename_blank(folder, name)
            own = own or _open_own(folder.fd, name, _NEW) or _open_own(folder.fd, name, 0)
        except _BlankHeldError:
            waited += 1
            time.sleep(_MOMENT_S)
            continue
        except BlockingIOError:
            break
        if own:
            return own
        slipped += 1
    return None


class _BlankHeldError(Exception):
    """Somebody empties the blank or gives it another name, which he will have done in a moment."""


def _open_own(folder: int, name: str, flags: int) -> tuple[int, os.stat_result] | None:
    """Open and lock what is called `name`; None when it is not there or slips away, BlockingIOError if it is held."""
    try:
        fd = os.open(name, _STAGE | flags, BLANK_MODE, dir_fd=folder)
    except FileExistsError:
        return None
    except BlockingIOError as error:  # its lease: see `homeport.core.blanks`
        raise _BlankHeldError from error
    except FileNotFoundError:
        if flags:  # the folder itself is gone
            raise
        return None
    try:
        locked, found = try_exclusive(fd), os.fstat(fd)
        if locked and _is_called(folder, name, found):
            return fd, found
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    if not locked:
        raise _BlankHeldError if is_blank(found.st_mode) else BlockingIOError
    return None


def _rename_blank(folder: AccountFolder, name: str) -> tuple[int, os.stat_result] | None:
    """A blank of ours that is called `name` from now on; None when there is none. It is locked before it is renamed.

    Best is the one that is called so already: a rename is the dearest call on an upload's way.
    """
    blanks = folder.blanks
    while blanks:
        try:
            blank = name if name in blanks else blanks.popitem()[0]
            blanks.pop(blank, None)
            own = _open_own(folder.fd, blank, 0)
        except (OSError, KeyError, _BlankHeldError):  # taken by another
            continue
        if own is None:
            continue
        try:
            if is_blank(own[1].st_mode):
                if blank != name:
                    rename_to_new(Place(folder.fd, blank.encode()), Place(folder.fd, name.encode()))
                return own
        except FileExistsError:  # a stage that is to go on, perhaps
            blanks[blank] = None
            os.close(own[0])
            return None
        except OSError:  # no such rename here
            pass
        os.close(own[0])
    return None


def _remove_unlocked(folder: int, name: str, condition: Callable[[Entry], bool]) -> Count | None:
    """Remove the stage called `name` if nobody writes it and `condition` holds; returns what it cost, else None."""
    try:
        fd = os.open(name, _STAGE, dir_fd=folder)
    except FileNotFoundError:
        return Count()
    try:
        if not try_exclusive(fd):
            return None
        found = os.fstat(fd)
        if not _is_called(folder, name, found):
            return Count()
        entry = Entry.of(name, found)
        if not condition(entry):
            return None
        os.unlink(name, dir_fd=folder)
        return Count() if is_blank(entry.mode) else Count.of(entry)
    finally:
        os.close(fd)


def _look(folder: int, name: str) -> Entry | None:
    try:
        return Entry.of(name, os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _is_patched(mode: int) -> bool:
    return mode & 0o777 == PATCHED_MODE


def _is_called(folder: int, name: str, found: os.stat_result) -> bool:
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (found.st_ino, found.st_dev)


def _stages_in(folder: int) -> Iterator[Entry]:
    return (entry for entry in entries_of(folder) if entry.kind is Kind.FILE and _NAME.fullmatch(entry.name))


class _StorageErrors:
    """Around what is done with open folders and files: OSErrors become storage errors. It keeps nothing."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise storage_error(error) from error


_storage_errors = _StorageErrors()
