"""Unfinished uploads: files kept outside every home, on the same file system, until they are renamed into place.

The rule: a stage belongs to one account and one path, and to one upload at a time, which holds an exclusive lock on
the file itself. A lock counts only while its file still has the stage's name: whoever waited behind a rename or a
removal holds a lock on something else, and looks again.

    stage/                  0700
        17/                 0700, one an account, named by its id
            5e88489...      0600, named by the SHA-256 of the path
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from homeport.core.count import Count
from homeport.core.entries import Entry, Kind
from homeport.core.errno_table import storage_error
from homeport.core.errors import Busy, StageElsewhere
from homeport.core.jail import Jail
from homeport.core.locks import exclusive, try_exclusive
from homeport.core.paths import VirtualPath, name_bytes
from homeport.core.scanning import entries_of
from homeport.core.tree import mount_of

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STAGE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TRIES = 16
_NAME = re.compile(r"[0-9a-f]{64}")


def stage_name(path: VirtualPath) -> str:
    """What the stage of `path` is called: paths may be longer than a name may be."""
    return hashlib.sha256(name_bytes(str(path))).hexdigest()


class Stage:
    """One account's stage of one path, locked until `close`. The descriptor `fd` reads and writes."""

    def __init__(self, fd: int, directory_fd: int, name: str, *, created: bool) -> None:
        """Take over both descriptors; `created` says that the stage was not there before."""
        self.fd = fd
        self.directory_fd = directory_fd
        self.name = name
        self.created = created

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Its length in bytes."""
        with _storage_errors():
            return os.fstat(self.fd).st_size

    def truncate(self, size: int) -> None:
        """Cut it to `size` bytes."""
        with _storage_errors():
            os.ftruncate(self.fd, size)

    def remove(self) -> None:
        """Throw it away, unless it has been put into place already. It stays locked, nameless, until `close`."""
        with _storage_errors():
            if _is_called(self.directory_fd, self.name, self.fd):
                os.unlink(self.name, dir_fd=self.directory_fd)

    def close(self) -> None:
        """Let others have it, in place or not. May be called again."""
        fds, self.fd, self.directory_fd = (self.fd, self.directory_fd), -1, -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A stage at rest: its file's name, `size` in bytes, and when it last grew."""

    name: str
    size: int
    mtime_ns: int


class StageFolder:
    """The folder of all stages. Thread-safe, and safe between processes; close it when done."""

    def __init__(self, root: Path) -> None:
        """Open the folder, making it if its parent is there. Raises StorageFailed."""
        with _storage_errors():
            root.mkdir(mode=0o700, exist_ok=True)
            self._fd = os.open(root, _FOLDER & ~os.O_NOFOLLOW)

    def __enter__(self) -> StageFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder. Stages that are open stay so."""
        os.close(self._fd)

    def require_beside(self, home: Jail) -> None:
        """Raise StageElsewhere when stages cannot be renamed into `home`: another file system, another mount."""
        with _storage_errors():
            here = mount_of(self._fd)
        if home.mount() != here:
            raise StageElsewhere

    def open_or_create(self, account: int, path: VirtualPath) -> Stage:
        """The stage of `path`, which is empty if it was not there before. Raises Busy when another upload has it."""
        name = stage_name(path)
        with _storage_errors():
            with suppress(FileExistsError):
                os.mkdir(str(account), 0o700, dir_fd=self._fd)
            folder = self._folder(account)
            try:
                fd, created = _open_locked(folder, name)
            except BaseException:
                os.close(folder)
                raise
        if fd is None:
            os.close(folder)
            raise Busy(str(path))
        return Stage(fd, folder, name, created=created)

    def size_of(self, account: int, path: VirtualPath) -> int | None:
        """How many bytes of `path` have come so far; None when there is no stage. Needs no lock."""
        with self._existing(account) as folder:
            entry = None if folder is None else _look(folder, stage_name(path))
        return None if entry is None else entry.size

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

    def accounts(self) -> list[int]:
        """The ids of the accounts that have, or had, stages."""
        with _storage_errors():
            return sorted(int(entry.name) for entry in entries_of(self._fd) if entry.name.isdecimal())

    def of(self, account: int) -> list[StageRecord]:
        """The stages of one account, those being written included."""
        with self._existing(account) as folder:
            return [] if folder is None else [StageRecord(e.name, e.size, e.mtime_ns) for e in _stages_in(folder)]

    def count(self, account: int) -> Count:
        """What the stages of one account cost."""
        stages = self.of(account)
        return Count(sum(stage.size for stage in stages), len(stages))

    def expire(self, account: int, max_age_s: float, now: float) -> Count:
        """Remove the account's stages that have not grown for `max_age_s` seconds at `now` (seconds since the epoch).

        Those being written stay. Returns what the removed ones cost, for the ledger.
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

    @contextmanager
    def _existing(self, account: int) -> Iterator[int | None]:
        """The account's folder for as long as the block runs, or None; OSErrors become storage errors."""
        with _storage_errors():
            try:
                folder = self._folder(account)
            except FileNotFoundError:
                yield None
                return
            try:
                yield folder
            finally:
                os.close(folder)


def _open_locked(folder: int, name: str) -> tuple[int | None, bool]:
    """The stage called `name`, locked, and whether it was made just now; None when somebody else has it."""
    # Alone in the folder, nobody can lock the new file before its maker does.
    with exclusive(folder):
        for _ in range(_TRIES):
            fd, created = _open_or_make(folder, name)
            if fd is None:
                continue
            try:
                locked, called = try_exclusive(fd), _is_called(folder, name, fd)
            except OSError:
                os.close(fd)
                raise
            if locked and called:
                return fd, created
            os.close(fd)
            if not locked:
                break
    return None, False


def _open_or_make(folder: int, name: str) -> tuple[int | None, bool]:
    try:
        return os.open(name, _STAGE | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder), True
    except FileExistsError:
        pass
    try:
        return os.open(name, _STAGE, dir_fd=folder), False
    except FileNotFoundError:  # put into place since
        return None, False


def _remove_unlocked(folder: int, name: str, condition: Callable[[Entry], bool]) -> Count | None:
    """Remove the stage called `name` if nobody writes it and `condition` holds; returns what it cost, else None."""
    try:
        fd = os.open(name, _STAGE, dir_fd=folder)
    except FileNotFoundError:
        return Count()
    try:
        if not try_exclusive(fd):
            return None
        if not _is_called(folder, name, fd):
            return Count()
        entry = Entry.of(name, os.fstat(fd))
        if not condition(entry):
            return None
        os.unlink(name, dir_fd=folder)
        return Count.of(entry)
    finally:
        os.close(fd)


def _look(folder: int, name: str) -> Entry | None:
    try:
        return Entry.of(name, os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _is_called(folder: int, name: str, fd: int) -> bool:
    entry, found = _look(folder, name), os.fstat(fd)
    return entry is not None and (entry.device, entry.inode) == (found.st_dev, found.st_ino)


def _stages_in(folder: int) -> Iterator[Entry]:
    return (entry for entry in entries_of(folder) if entry.kind is Kind.FILE and _NAME.fullmatch(entry.name))


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error) from error
