"""Walking through a whole tree that is held open, and telling file systems apart.

The rule: folders are entered by descriptor and O_NOFOLLOW, so the walk never leaves the tree; it takes a bounded number
of descriptors and no recursion, however deep the tree is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass

from homeport.core.count import Count
from homeport.core.entering import let_in, open_folder
from homeport.core.entries import Entry, Kind
from homeport.core.paths import name_bytes
from homeport.core.scanning import entries_of

_HELD_MAX = 64  # descriptors of one walk; above so many levels it climbs by `..`
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Level:
    fd: int  # -1 while given up for a deeper level
    identity: tuple[int, int]
    folders: list[str]  # still to be entered

    def give_up(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def count_below(fd: int) -> Count:
    """What everything in the folder `fd` costs; what comes or goes meanwhile may be in or not. Raises OSError."""
    bytes_, files = 0, 0
    for entry in walk(fd):
        cost = Count.of(entry)
        bytes_ += cost.bytes
        files += cost.files
    return Count(bytes_, files)


def mount_of(fd: int) -> tuple[int, int]:
    """The device and the mount that `fd` lies on; a rename works between two places where both are equal."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return os.fstat(fd).st_dev, int(fields["mnt_id"])


def walk(fd: int) -> Generator[Entry, None, None]:
    """Every entry below the folder `fd`, each folder before what it holds. Raises OSError.

    EAGAIN: a folder far below was moved elsewhere meanwhile.
    """
    descent = _Descent()
    try:
        top = os.open(".", _FOLDER, dir_fd=fd)
    except PermissionError:  # without the right to search it, `.` is not there either
        let_in(fd)
        top = os.open(".", _FOLDER, dir_fd=fd)
    try:
        yield from descent.run(top)
    finally:
        descent.close()


class _Descent:
    """The folders between the top and where the walk is."""

    def __init__(self) -> None:
        self._levels: list[_Level] = []

    def run(self, top_fd: int) -> Generator[Entry, None, None]:
        yield from self._enter(top_fd)
        while self._levels:
            level = self._levels[-1]
            if not level.folders:
                self._leave()
                continue
            name = name_bytes(level.folders.pop())
            with suppress(FileNotFoundError, NotADirectoryError):  # gone, or replaced, since it was read
                fd = open_folder(name, _FOLDER, level.fd)
                yield from self._enter(fd)

    def close(self) -> None:
        for level in self._levels:
            level.give_up()

    def _enter(self, fd: int) -> Generator[Entry, None, None]:
        level = _Level(fd, _identity(fd), [])
        self._levels.append(level)
        if len(self._levels) > _HELD_MAX:
            self._levels[-_HELD_MAX - 1].give_up()
        for entry in entries_of(fd):
            if entry.kind is Kind.DIRECTORY:
                level.folders.append(entry.name)
            yield entry

    def _leave(self) -> None:
        left = self._levels.pop()
        try:
            if self._levels and self._levels[-1].fd < 0:
                above = self._levels[-1]
                above.fd = os.open("..", _FOLDER, dir_fd=left.fd)
                if _identity(above.fd) != above.identity:
                    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        finally:
            os.close(left.fd)


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
