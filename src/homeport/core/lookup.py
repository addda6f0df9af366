"""Where the paths of one home lead: every descriptor that the jail works on comes from here.

The rule: what comes out lies inside the home, because a `Resolver` opened it below the home's descriptor; the last name
of what is to be changed comes apart from its folder, as one clean segment. Every OSError becomes a core error here.
"""

from __future__ import annotations

import errno
import os
import stat as stat_bits
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from homeport.core.beneath import LINKS_MAX, Resolver
from homeport.core.entering import open_folder
from homeport.core.errno_table import ErrorOf, storage_error, translate
from homeport.core.errors import (
    HomeportError,
    HomeUnavailable,
    InvalidPath,
    IsADirectory,
    NotARegularFile,
    OutsideHome,
    RootRefused,
    WouldBlock,
)
from homeport.core.locks import let_go, take_exclusive
from homeport.core.paths import VirtualPath, name_bytes, name_text
from homeport.core.renaming import Place

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PARENT = os.O_PATH | os.O_DIRECTORY


class _Folder:
    """A descriptor that closes when the last one who uses it lets go, so that its number cannot be reused before."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class _Alone:
    """Within a lock of this process and, inside it, one of the machine; see `Lookup.changing`."""

    __slots__ = ("_flocked", "_folder", "_lock")

    def __init__(self, lock: threading.Lock, folder: _Folder) -> None:
        self._lock = lock
        self._folder = folder

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._flocked = take_exclusive(self._folder.fd)
        except OSError as error:
            self._lock.release()
            raise storage_error(error) from error

    def __exit__(self, *_: object) -> None:
        try:
            if self._flocked:
                let_go(self._folder.fd)
        finally:
            self._lock.release()
            del self._folder  # a traceback that somebody keeps must not keep the home open


class Lookup:
    """The names of one home. Thread-safe."""

    def __init__(self, root: Path, resolver: Resolver) -> None:
        """Open the home. Raises HomeUnavailable when it is missing, no folder, or not to be entered."""
        try:
            self._root: _Folder | None = _Folder(open_folder(root, _FOLDER))
        except OSError as error:
            raise HomeUnavailable from error
        self._resolver = resolver
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the home; every later call raises HomeUnavailable."""
        self._root = None

    def locate(self, path: VirtualPath) -> VirtualPath:
        """`path` as its names are spelled on disk, or as it came where nothing is found.

        Each segment is taken as it came if such a name exists, else in the first normalised form (NFC, NFD) that does.
        """
        if str(path).isascii():
            return path
        found = VirtualPath()
        for segment in path.segments:
            spellings = (VirtualPath((*found.segments, *name.segments)) for name in VirtualPath((segment,)).spellings())
            existing = next(filter(self.exists, spellings), None)
            if existing is None:
                return path
            found = existing
        return found

    @contextmanager
    def root(self) -> Iterator[int]:
        """The descriptor of the home itself, which stays open for as long as the block runs."""
        root = self._held()
        try:
            yield root.fd
        finally:
            del root  # a traceback that somebody keeps must not keep the home open

    def open(self, path: VirtualPath, flags: int) -> int:
        """A new descriptor of what is at `path`, in whatever Unicode form it is spelled there. Raises OSError."""
        try:
            return self._resolve(path.segments, flags)
        except FileNotFoundError:
            located = self.locate(path)
            if located == path:
                raise
            return self._resolve(located.segments, flags)

    def open_cached(self, path: VirtualPath, flags: int) -> int:
        """As `open`, but raises WouldBlock rather than wait, or look for another spelling."""
        root = self._held()
        try:
            return self._resolver.open_cached(root.fd, path.segments, flags)
        except FileNotFoundError:
            if str(path).isascii():
                raise
            raise WouldBlock from None
        finally:
            del root

    def _resolve(self, segments: tuple[str, ...], flags: int) -> int:
        root = self._root
        if root is None:
            raise HomeUnavailable
        try:
            return self._resolver.open(root.fd, segments, flags)
        finally:
            del root  # as in `root`, on the path that every call takes

    def _held(self) -> _Folder:
        root = self._root
        if root is None:
            raise HomeUnavailable
        return root

    def exists(self, path: VirtualPath) -> bool:
        """Whether something, a link included, is at `path` in exactly this spelling."""
        try:
            os.close(self._resolve(path.segments, os.O_PATH | os.O_NOFOLLOW))
        except OSError:
            return False
        return True

    @contextmanager
    def existing(self, path: VirtualPath, flags: int) -> Iterator[int]:
        """The descriptor of what is at `path` for as long as the block runs, whose OSErrors are about `path`."""
        with self.errors(path):
            fd = self.open(path, flags)
            try:
                yield fd
            finally:
                os.close(fd)

    @contextmanager
    def plain(self, path: VirtualPath) -> Iterator[tuple[int, os.stat_result]]:
        """As `existing`, for a file or folder below the home."""
        if path.is_root:
            raise RootRefused(str(path))
        with self.existing(path, os.O_PATH) as fd:
            found = os.fstat(fd)
            if not (stat_bits.S_ISREG(found.st_mode) or stat_bits.S_ISDIR(found.st_mode)):
                raise NotARegularFile(str(path))
            yield fd, found

    @contextmanager
    def parent(self, path: VirtualPath) -> Iterator[tuple[int, bytes]]:
        """The folder that holds, or is to hold, the last name of `path`, and that name."""
        name = _single(path)
        with self.errors(path):
            fd = self.open(path.parent, _PARENT)
        try:
            yield fd, name_bytes(name)
        finally:
            os.close(fd)

    def place_of(self, path: VirtualPath, *, about_folder: bool = False) -> Place:
        """As `parent`, for a folder that the caller closes; errors are about `path`, or about its folder."""
        name = name_bytes(_single(path))
        try:
            try:  # without a path of its own, which costs as much as the call
                return Place(self._resolve(path.segments[:-1], _PARENT), name)
            except FileNotFoundError:
                return Place(self.open(path.parent, _PARENT), name)
        except OSError as error:
            raise self.failure(error, path.parent if about_folder else path) from error

    @contextmanager
    def named(self, path: VirtualPath) -> Iterator[tuple[int, bytes]]:
        """As `parent`, for a name that exists, in whatever Unicode form."""
        if path.is_root:
            raise RootRefused(str(path))
        with self.parent(self.locate(path)) as found:
            yield found

    def targets(self, path: VirtualPath) -> Generator[tuple[int, bytes], None, None]:
        """As `parent`, for the name that writing to `path` makes or replaces: at the end of the links there.

        The caller takes the first place where it finds no link; each is open until the next is asked for.
        """
        segments: tuple[str, ...] = (*self.locate(path.parent).segments, _single(path))
        for _ in range(LINKS_MAX + 1):
            if segments[-1] in ("", ".", ".."):
                raise IsADirectory(str(path))
            try:
                parent = self._resolve(segments[:-1], _PARENT)
            except OSError as error:
                raise self.failure(error, path) from error
            try:
                name = name_bytes(segments[-1])
                yield parent, name
                target = self._link_target(path, parent, name)
            finally:
                os.close(parent)
            segments = (*segments[:-1], *target)

    def _link_target(self, path: VirtualPath, parent: int, name: bytes) -> list[str]:
        """The target of the link called `name`; itself where it is a link no more."""
        try:
            target = name_text(os.readlink(name, dir_fd=parent))
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return [name_text(name)]
            raise self.failure(error, path) from error
        if target.startswith("/"):
            raise OutsideHome(str(path))
        return target.split("/")

    def changing(self) -> AbstractContextManager[None]:
        """One change of names at a time in this home, over all threads and processes of the machine.

        What was looked at just before a change is thus what the change replaced or removed, and accounts stay exact.
        """
        return _Alone(self._lock, self._held())

    @contextmanager
    def errors(self, path: VirtualPath, special: Mapping[int, ErrorOf] | None = None) -> Iterator[None]:
        """Around what is done at `path`: OSErrors become core errors, those in `special` other ones than usual."""
        try:
            yield
        except OSError as error:
            raise self.failure(error, path, special) from error

    def failure(self, error: OSError, path: VirtualPath, special: Mapping[int, ErrorOf] | None = None) -> HomeportError:
        """The core error for `error`, met at `path`; as `errors`, for paths that many calls take."""
        if error.errno == errno.ENOENT and self._vanished():
            return HomeUnavailable()
        return translate(error, str(path), special)

    def _vanished(self) -> bool:
        with self.root() as fd:
            return os.fstat(fd).st_nlink == 0


def _single(path: VirtualPath) -> str:
    """The last name of `path`; VirtualPath makes it one clean segment, here it is made sure of."""
    name = path.segments[-1] if path.segments else ""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InvalidPath(ascii(name), "not a file name")
    return name
