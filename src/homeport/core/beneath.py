"""Resolution of paths by hand, segment by segment, where the kernel's openat2 is missing; and the choice between both.

The rule: every step opens one name in a folder that is already held open, never following a link (O_NOFOLLOW). What
turns out to be a link is read from the descriptor just opened, so nobody can swap it in between; its target goes
through the same walk. `..` returns to the descriptor that the walk came through, and never above the first.
"""

from __future__ import annotations

import errno
import os
import stat as stat_bits
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from homeport.core import openat2
from homeport.core.errors import WouldBlock
from homeport.core.paths import PATH_MAX_BYTES, name_bytes

LINKS_MAX = 40  # as the kernel
_DEPTH_MAX = 1024  # descriptors that one walk may hold open
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Resolver(Protocol):
    """Opens what lies below a folder, and nothing else."""

    def open(self, root_fd: int, segments: Sequence[str], flags: int) -> int:
        """Open `segments` below `root_fd` and return a new descriptor; see `openat2.KernelResolver.open`."""
        ...

    def open_cached(self, root_fd: int, segments: Sequence[str], flags: int) -> int:
        """As `open`, but raises WouldBlock rather than wait for a disk."""
        ...


class WalkingResolver:
    """Opens what lies below a folder by walking to it."""

    def open(self, root_fd: int, segments: Sequence[str], flags: int) -> int:
        """The same as `openat2.KernelResolver.open`, with the same errors."""
        path = name_bytes("/".join(segments)) or b"."
        if b"\0" in path or path.startswith(b"/"):
            raise _os_error(errno.EINVAL)
        if len(path) > PATH_MAX_BYTES:
            raise _os_error(errno.ENAMETOOLONG)
        with _Walk(root_fd) as walk:
            return walk.open(path, flags)

    def open_cached(self, root_fd: int, segments: Sequence[str], flags: int) -> int:  # noqa: ARG002
        """Any step of a walk may wait for a disk."""
        raise WouldBlock


def best_resolver() -> Resolver:
    """The kernel's resolution where it is to be had, else the walk."""
    return openat2.KernelResolver() if openat2.available() else WalkingResolver()


class _Walk:
    """The folders between the root and where the walk has come to, each held open."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._held: list[int] = []
        self._pending: deque[bytes] = deque()
        self._links = 0

    def __enter__(self) -> _Walk:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._held:
            os.close(fd)

    @property
    def _here(self) -> int:
        return self._held[-1] if self._held else self._root_fd

    def open(self, path: bytes, flags: int) -> int:
        self._pending.extend(path.split(b"/"))
        while True:
            name = self._pending.popleft()
            if name == b"..":
                self._climb()
            elif name not in (b"", b"."):
                fd = self._step(name, flags)
                if fd is not None:
                    return fd
            if not self._pending:
                return os.open(b".", flags | os.O_CLOEXEC, dir_fd=self._here)

    def _climb(self) -> None:
        if not self._held:
            raise _os_error(errno.EXDEV)
        os.close(self._held.pop())

    def _step(self, name: bytes, flags: int) -> int | None:
        """Enter a folder or queue a link's target; at the end of the path, return the descriptor asked for."""
        fd = os.open(name, _STEP, dir_fd=self._here)
        self._held.append(fd)  # closed with the others, whatever goes wrong
        kind = stat_bits.S_IFMT(os.fstat(fd).st_mode)
        if kind == stat_bits.S_IFDIR:
            if len(self._held) > _DEPTH_MAX:
                raise _os_error(errno.ENAMETOOLONG)
            return None
        if kind == stat_bits.S_IFLNK and (self._pending or not flags & os.O_NOFOLLOW):
            self._follow(os.readlink(b"", dir_fd=fd))
            os.close(self._held.pop())
            return None
        if self._pending or flags & os.O_DIRECTORY:
            raise _os_error(errno.ENOTDIR)
        return self._held.pop()

    def _follow(self, target: bytes) -> None:
        self._links += 1
        if self._links > LINKS_MAX:
            raise _os_error(errno.ELOOP)
        if target.startswith(b"/"):
            raise _os_error(errno.EXDEV)
        self._pending.extendleft(reversed(target.split(b"/")))


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
