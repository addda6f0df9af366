"""An account's home: the only module that opens, renames or removes anything in it.

The rule: every path is resolved below the home's descriptor by a `Resolver`, so no `..`, link or racing rename leads
out; every change is then made to one plain name in a folder that is held open. What is no regular file is never
opened. Callers see VirtualPath and core errors alone, never an OSError, never a path of the machine.

Links inside the home work where they stay inside it. What looks (`stat`, `open_file`, `scan`) follows them; what
removes or renames acts on the link itself; `install` writes through to the link's target, as opening it would.

Names that exist may be said in another Unicode form than they have on disk (`locate`); names to be made are taken
as they come.
"""

from __future__ import annotations

import errno
import os
import stat as stat_bits
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from homeport.core.beneath import Resolver, best_resolver
from homeport.core.blanks import Replaced, is_young, put_in_place
from homeport.core.count import Count
from homeport.core.entries import Entry, Kind
from homeport.core.errno_table import ErrorOf
from homeport.core.errors import (
    AlreadyExists,
    Busy,
    DirectoryNotEmpty,
    HomeportError,
    InvalidPath,
    IsADirectory,
    NotARegularFile,
    NotFound,
    OutsideHome,
    RootRefused,
    StageElsewhere,
    StorageFailed,
)
from homeport.core.lookup import Lookup
from homeport.core.paths import VirtualPath, name_bytes, name_text
from homeport.core.renaming import Place
from homeport.core.scanning import (
    Links,
    Looks,
    Reading,
    Wanted,
    chosen_of,
    entries_of,
    looks_of,
    names_of,
    seen_through,
)
from homeport.core.tree import count_below, mount_of

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_REOPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TRIES = 16  # for a file that is replaced all the time
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_RENAMING: Mapping[int, ErrorOf] = {
    errno.EEXIST: DirectoryNotEmpty,
    errno.EINVAL: lambda path: InvalidPath(path, "a folder cannot be moved into itself"),
    errno.EXDEV: lambda path: InvalidPath(path, "lies on another file system; copy there and delete here"),
}

_INSTALLING: Mapping[int, ErrorOf] = {errno.EXDEV: lambda _: StageElsewhere()}

_READING_LINK: Mapping[int, ErrorOf] = {errno.EINVAL: lambda path: InvalidPath(path, "is no link")}

# What no file can be put in place of.
_NOT_REPLACED: Mapping[Kind, Callable[[str], HomeportError]] = {
    Kind.DIRECTORY: IsADirectory,
    Kind.OTHER: NotARegularFile,
}


T = TypeVar("T")


class Jail:
    """The tree below one folder of the machine, `root`. Thread-safe; close it when done."""

    def __init__(self, root: Path, resolver: Resolver | None = None) -> None:
        """Open the home. Raises HomeUnavailable when it is missing, no folder, or not to be entered."""
        self._lookup = Lookup(root, resolver or best_resolver())

    def __enter__(self) -> Jail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the home; every later call raises HomeUnavailable."""
        self._lookup.close()

    # Looking

    def stat(self, path: VirtualPath, *, follow: bool = True) -> Entry:
        """What is at `path`; with `follow`, a link inside the home is answered by what it leads to."""
        return Entry.of(path.name, self.look(path, follow=follow))

    def look(self, path: VirtualPath, *, follow: bool = True) -> os.stat_result:
        """As `stat`, in the kernel's own words."""
        flags = os.O_PATH if follow else os.O_PATH | os.O_NOFOLLOW
        try:
            found = self._look_once(path, flags)
            for _ in range(_TRIES):
                if not (is_young(found) and stat_bits.S_ISREG(found.st_mode)):
                    break
                # It may have been replaced, and used again for another file, between being opened and being looked at.
                before, found = found, self._look_once(path, flags)
                if (before.st_ino, before.st_ctime_ns) == (found.st_ino, found.st_ctime_ns):
                    break
            return found
        except OSError as error:
            raise self._lookup.failure(error, path) from error

    def _look_once(self, path: VirtualPath, flags: int) -> os.stat_result:
        fd = self._lookup.open(path, flags)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def replaceable(self, path: VirtualPath) -> Entry | None:
        """The file that an upload of `path` would replace as things are now, None where a new one can be.

        Raises IsADirectory, NotARegularFile, and for the folder NotFound, NotADirectory, OutsideHome.
        """
        if not path.segments:
            raise IsADirectory(str(path))
        place = self._lookup.place_of(path, about_folder=True)
        try:
            there = _there(place.folder, place.name, path)
            if there is None or there.kind is Kind.LINK:
                there = self._seen_through(there, path)
        except OSError as error:
            raise self._lookup.failure(error, path) from error
        finally:
            os.close(place.folder)
        if there is not None and there.kind is not Kind.FILE:
            raise _NOT_REPLACED.get(there.kind, NotARegularFile)(str(path))
        return there

    def _seen_through(self, there: Entry | None, path: VirtualPath) -> Entry | None:
        """What an upload of `path` will replace: of a link what it leads to, and a name in whatever Unicode form."""
        if there is None and str(path).isascii():
            return None
        try:
            return self.stat(path)
        except NotFound:
            return None

    def locate(self, path: VirtualPath) -> VirtualPath:
        """`path` as its names are spelled on disk (NFC, NFD), or as it came where nothing is found."""
        return self._lookup.locate(path)

    def open_file(self, path: VirtualPath) -> int:
        """Open the regular file at `path` for reading; returns a descriptor that the caller closes.

        Raises IsADirectory, or NotARegularFile for a FIFO, socket or device, which is not opened.
        """
        return self.open_and_look(path)[0]

    def open_and_look(self, path: VirtualPath, *, may_block: bool = True) -> tuple[int, os.stat_result]:
        """As `open_file`, with what the kernel says of the file; raises WouldBlock rather than wait if it must not."""
        try:
            for _ in range(_TRIES):
                opened = self._open_whole(path, may_block=may_block)
                if opened:
                    return opened
        except OSError as error:
            raise self._lookup.failure(error, path) from error
        raise Busy(str(path))

    def _open_whole(self, path: VirtualPath, *, may_block: bool) -> tuple[int, os.stat_result] | None:
        """The file that is `path`; None when it was replaced in this very moment, and may be another's stage by now."""
        handle = self._lookup.open(path, os.O_PATH) if may_block else self._lookup.open_cached(path, os.O_PATH)
        try:
            found = os.fstat(handle)
            if stat_bits.S_ISDIR(found.st_mode):
                raise IsADirectory(str(path))
            if not stat_bits.S_ISREG(found.st_mode):
                raise NotARegularFile(str(path))
            fd = _reopen(handle)
        finally:
            os.close(handle)
        if fd is None:
            return None
        try:
            if not is_young(found):
                return fd, found
            # Open, it cannot be used again for anything else; was it `path` still when it came to be open?
            if self._is_at(path, found, may_block=may_block):
                return fd, os.fstat(fd)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None

    def _is_at(self, path: VirtualPath, found: os.stat_result, *, may_block: bool) -> bool:
        handle = self._lookup.open(path, os.O_PATH) if may_block else self._lookup.open_cached(path, os.O_PATH)
        try:
            now = os.fstat(handle)
        finally:
            os.close(handle)
        return (now.st_ino, now.st_dev) == (found.st_ino, found.st_dev)

    def read_link(self, path: VirtualPath) -> str:
        """What the link at `path` says. Raises OutsideHome when that is not a way within the home."""
        with self._lookup.named(path) as (parent, name), self._lookup.errors(path, _READING_LINK):
            target = name_text(os.readlink(name, dir_fd=parent))
        depth = len(path.parent.segments)
        for segment in target.split("/"):
            depth += {"..": -1, ".": 0, "": 0}.get(segment, 1)
            if depth < 0 or target.startswith("/"):
                raise OutsideHome(str(path))
        return target

    def open_directory(self, path: VirtualPath) -> int:
        """Open the folder at `path`; returns a descriptor that the caller closes."""
        with self._lookup.errors(path):
            return self._lookup.open(path, _FOLDER)

    def scan(self, path: VirtualPath, *, through_links: bool = False) -> AbstractContextManager[Iterator[Entry]]:
        """The entries of the folder at `path`, in the disk's order, read as they are asked for.

        Links come as links, or with `through_links` as what they lead to if that is in the home; any other link then
        has size 0. Names that vanish meanwhile are left out.
        """
        return self._reading(path, partial(entries_of, links=self._links(path) if through_links else None))

    def looks(self, path: VirtualPath, wanted: Wanted | None = None) -> Looks:
        """As `scan` through links, in the kernel's own words; of names not `wanted` None, which costs no look."""
        read = looks_of if wanted is None else partial(chosen_of, wanted=wanted)
        return self._reading(path, partial(read, links=self._links(path)))

    def names(self, path: VirtualPath) -> AbstractContextManager[Iterator[str]]:
        """The names in the folder at `path`, in the disk's order, without looking at what they stand for."""
        return self._reading(path, names_of)

    @contextmanager
    def _reading(self, path: VirtualPath, read: Reading[T]) -> Iterator[Iterator[T]]:
        fd = self.open_directory(path)
        try:
            with closing(read(fd, errors=self._lookup.errors(path))) as found:
                yield found
        finally:
            os.close(fd)

    def _links(self, folder: VirtualPath) -> Links:
        return seen_through(lambda name: self.look(folder.child(name)))

    def walk_count(self) -> Count:
        """What everything in the home costs, by one walk through it."""
        with self._lookup.root() as fd, self._lookup.errors(VirtualPath()):
            return count_below(fd)

    def free_bytes(self) -> int:
        """What the home's file system has free for the server, in bytes."""
        with self._lookup.root() as fd, self._lookup.errors(VirtualPath()):
            room = os.fstatvfs(fd)
            return room.f_bavail * room.f_frsize

    def disk_bytes(self) -> int:
        """How large the home's file system is, in bytes."""
        with self._lookup.root() as fd, self._lookup.errors(VirtualPath()):
            room = os.fstatvfs(fd)
            return room.f_blocks * room.f_frsize

    def mount(self) -> tuple[int, int]:
        """Which mount the home lies on; renames work within one alone."""
        with self._lookup.root() as fd, self._lookup.errors(VirtualPath()):
            return mount_of(fd)

    # Changing

    def make_directory(self, path: VirtualPath, mode: int = DIRECTORY_MODE) -> None:
        """Make one folder, with exactly the permission bits of `mode` whatever the umask."""
        if path.is_root:
            raise AlreadyExists(str(path))
        # Alone: a folder that appears between a rename's look and its deed would be replaced by it unseen.
        with self._lookup.parent(path) as (parent, name), self._lookup.changing(), self._lookup.errors(path):
            os.mkdir(name, DIRECTORY_MODE, dir_fd=parent)
            if mode != DIRECTORY_MODE:
                fd = os.open(name, _FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
                try:
                    os.fchmod(fd, mode & 0o777)
                finally:
                    os.close(fd)

    def create_exclusive(self, path: VirtualPath, mode: int = FILE_MODE) -> int:
        """Make an empty file that was not there; returns a descriptor to read and write, which the caller closes."""
        if path.is_root:
            raise AlreadyExists(str(path))
        with self._lookup.parent(path) as (parent, name), self._lookup.changing(), self._lookup.errors(path):
            fd = os.open(name, _CREATE, FILE_MODE, dir_fd=parent)
            if mode != FILE_MODE:
                os.fchmod(fd, mode & 0o777)
            return fd

    def remove_file(self, path: VirtualPath) -> Entry:
        """Remove a name that is no folder (a link: the link itself). Returns exactly what was removed."""
        with self._lookup.named(path) as (parent, name), self._lookup.changing(), self._lookup.errors(path):
            removed = Entry.of(path.name, os.lstat(name, dir_fd=parent))
            os.unlink(name, dir_fd=parent)
            return removed

    def remove_directory(self, path: VirtualPath) -> None:
        """Remove an empty folder."""
        with self._lookup.named(path) as (parent, name), self._lookup.changing(), self._lookup.errors(path):
            os.rmdir(name, dir_fd=parent)

    def rename(self, source: VirtualPath, target: VirtualPath, *, replace: bool = True) -> Entry | None:
        """Give what is at `source` (a link: the link itself) the name `target`, in one step.

        Returns what was replaced, if anything. Raises AlreadyExists when something is there and `replace` is false;
        IsADirectory, NotADirectory, DirectoryNotEmpty when what is there cannot be replaced by the source.
        """
        if target.is_root:
            raise RootRefused(str(target))
        with (
            self._lookup.named(source) as (old_parent, old_name),
            self._lookup.parent(target) as (new_parent, new_name),
            self._lookup.changing(),
        ):
            with self._lookup.errors(source):
                moved = os.lstat(old_name, dir_fd=old_parent)
            with self._lookup.errors(target, _RENAMING):
                there = _there(new_parent, new_name, target)
                if there and not replace:
                    raise AlreadyExists(str(target))
                os.rename(old_name, new_name, src_dir_fd=old_parent, dst_dir_fd=new_parent)
        # Two names of one file: rename(2) leaves both.
        same = there is not None and (there.device, there.inode) == (moved.st_dev, moved.st_ino)
        return None if same else there

    def install(
        self,
        stage_fd: int,
        stage_name: str,
        path: VirtualPath,
        *,
        approve: Callable[[Entry | None], None] | None = None,
        flush: Callable[[int], None] | None = None,
    ) -> Entry | None:
        """Move the file `stage_name` of the folder `stage_fd` to `path`, in one step; a link there is written through.

        `approve` is called with what is about to be replaced, if anything, and prevents it by raising; nobody else
        changes this home's names meanwhile, so it must be quick. `flush` is called afterwards with the descriptor of
        the folder that got the new name. Returns what was replaced; its file may stay under the stage's name as a
        blank (see `homeport.core.blanks`). Raises IsADirectory, NotARegularFile, StageElsewhere.
        """
        if not path.segments:
            raise IsADirectory(str(path))
        installing = _Installing(Place(stage_fd, name_bytes(stage_name)), path, approve, flush)
        place = self._lookup.place_of(path)
        try:
            if self._install_at(place, installing):
                return installing.replaced
        except OSError as error:
            raise self._lookup.failure(error, path, _INSTALLING) from error
        finally:
            os.close(place.folder)
        return self._install_through_links(installing)

    def _install_through_links(self, installing: _Installing) -> Entry | None:
        path = installing.path
        try:
            with closing(self._lookup.targets(path)) as targets:
                for parent, name in targets:
                    if self._install_at(Place(parent, name), installing):
                        return installing.replaced
        except OSError as error:
            raise self._lookup.failure(error, path, _INSTALLING) from error
        raise OutsideHome(str(path))

    def _install_at(self, target: Place, installing: _Installing) -> bool:
        """Whether it stands there now; not where a link has the name."""
        with self._lookup.changing():
            there = _there(target.folder, target.name, installing.path)
            if there is not None and there.kind is Kind.LINK:
                return False
            old = _replace(installing, target, there)
        installing.replaced = there
        if old is not None:
            old.become_blank(installing.stage)
        if installing.flush:
            _flush(target.folder, installing.flush)
        return True

    def set_times(self, path: VirtualPath, mtime_ns: int) -> Entry:
        """Set when the file or folder was last changed; returns it with the time that the disk could hold."""
        # Alone, so that the file opened is not replaced, and another's blank, before it is changed.
        with self._lookup.changing(), self._lookup.plain(path) as (fd, found):
            try:
                with _through_proc():
                    os.utime(f"/proc/self/fd/{fd}", ns=(found.st_atime_ns, mtime_ns))
            except OverflowError as error:
                raise InvalidPath(str(path), "the file system cannot hold this time") from error
            return Entry.of(path.name, os.fstat(fd))

    def set_mode(self, path: VirtualPath, mode: int) -> Entry:
        """Set the permission bits of a file or folder; set-uid, set-gid and sticky bits are left out."""
        with self._lookup.changing(), self._lookup.plain(path) as (fd, _):
            with _through_proc():
                os.chmod(f"/proc/self/fd/{fd}", mode & 0o777)
            return Entry.of(path.name, os.fstat(fd))

    def sync_directory(self, path: VirtualPath, flush: Callable[[int], None] = os.fsync) -> None:
        """Make the names in the folder at `path` last through a power cut."""
        with self._lookup.existing(path, _FOLDER) as fd:
            flush(fd)


def _flush(parent: int, flush: Callable[[int], None]) -> None:
    fd = os.open(b".", _FOLDER | os.O_CLOEXEC, dir_fd=parent)  # an O_PATH descriptor cannot be synced
    try:
        flush(fd)
    finally:
        os.close(fd)


def _there(parent: int, name: bytes, path: VirtualPath) -> Entry | None:
    """What a change of `path`, called `name` in the folder `parent`, is about to replace."""
    try:
        return Entry.of(path.name, os.lstat(name, dir_fd=parent))
    except FileNotFoundError:
        return None


class _Installing:
    """What is to be installed under which path, and what it `replaced` in the end."""

    __slots__ = ("approve", "flush", "path", "replaced", "stage")

    def __init__(
        self,
        stage: Place,
        path: VirtualPath,
        approve: Callable[[Entry | None], None] | None,
        flush: Callable[[int], None] | None,
    ) -> None:
        self.stage = stage
        self.path = path
        self.approve = approve
        self.flush = flush
        self.replaced: Entry | None = None


def _replace(installing: _Installing, target: Place, there: Entry | None) -> Replaced | None:
    """Put the stage in the place of what is `there`, if that may be done."""
    if there is not None and there.kind is not Kind.FILE:
        raise _NOT_REPLACED[there.kind](str(installing.path))
    if installing.approve:
        installing.approve(there)
    return put_in_place(installing.stage, target, there)


def _reopen(handle: int) -> int | None:
    """Open for reading what `handle` merely names; None while that very file is being given up."""
    try:
        return os.open(f"/proc/self/fd/{handle}", _REOPEN)
    except BlockingIOError:
        return None
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StorageFailed("no /proc") from error


@contextmanager
def _through_proc() -> Iterator[None]:
    """Around what reaches an open file by its name in /proc; without /proc nothing is reached by any other name."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StorageFailed("no /proc") from error


def require_file(entry: Entry, path: VirtualPath) -> None:
    """Raises IsADirectory or NotARegularFile for anything else."""
    if entry.kind is not Kind.FILE:
        raise _NOT_REPLACED.get(entry.kind, NotARegularFile)(str(path))
