"""Resolution of paths by the kernel: openat2(2) with RESOLVE_BENEATH, which no race can lead astray.

The rule: every path is resolved below the descriptor it starts from, and magic links (those of /proc) are never
followed. Python has no openat2, so it is called through ctypes. The kernel has it since Linux 5.6; containers may
forbid it: `available()` tells, and `homeport.core.beneath` does the same by hand.

`open_cached` asks the kernel to answer from its memory alone, which is quick enough for an event loop (Linux 5.12).
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Sequence

from homeport.core.errors import WouldBlock

_SYS_OPENAT2 = 437  # the same number on every architecture that Python runs on
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RESOLVE_CACHED = 0x20
_TRIES = 256  # EAGAIN means that a rename raced with `..` in a link


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_SIZE = ctypes.sizeof(_OpenHow)
# A prototype of its own: converting plain numbers here is much quicker than making a ctypes object of each.
_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_long,
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
    use_errno=True,
)
_syscall = _PROTOTYPE(("syscall", ctypes.CDLL(None)))
_hows: list[_OpenHow] = []  # kept: only their addresses are handed about


class KernelResolver:
    """Opens what lies below a folder with openat2."""

    def open(self, root_fd: int, segments: Sequence[str], flags: int) -> int:
        """Open `segments` below `root_fd` and return a new descriptor, closed on exec.

        `flags` is O_PATH or O_RDONLY, with O_DIRECTORY and O_NOFOLLOW (for the last segment) as wanted. Segments may
        be `..`, as in the target of a link. Raises OSError: EXDEV for what leads outside, ELOOP for too many links.
        """
        path, how = _path_of(segments), _how(flags)
        for _ in range(_TRIES):
            fd: int = _syscall(_SYS_OPENAT2, root_fd, path, how, _HOW_SIZE)
            if fd >= 0:
                return fd
            failure = ctypes.get_errno()
            if failure not in (errno.EAGAIN, errno.EINTR):
                break
        raise OSError(failure, os.strerror(failure))

    def open_cached(self, root_fd: int, segments: Sequence[str], flags: int) -> int:
        """As `open`, without waiting for anything; raises WouldBlock where the kernel cannot promise that."""
        fd: int = _syscall(_SYS_OPENAT2, root_fd, _path_of(segments), _how(flags, _RESOLVE_CACHED), _HOW_SIZE)
        if fd >= 0:
            return fd
        failure = ctypes.get_errno()
        if failure in (errno.EAGAIN, errno.EINTR, errno.EINVAL):  # EINVAL: a kernel without RESOLVE_CACHED
            raise WouldBlock
        raise OSError(failure, os.strerror(failure))


def _path_of(segments: Sequence[str]) -> bytes:
    path = "/".join(segments).encode("utf-8", "surrogateescape") or b"."  # as `name_bytes`, without the call
    if b"\0" in path or path.startswith(b"/"):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return path


@functools.cache
def available() -> bool:
    """Whether this kernel, and whatever filters its system calls, allows openat2."""
    fd: int = _syscall(_SYS_OPENAT2, -100, b".", _how(os.O_PATH), _HOW_SIZE)  # AT_FDCWD: any folder will do
    if fd >= 0:
        os.close(fd)
    return fd >= 0 or ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM)


@functools.cache
def _how(flags: int, resolve: int = 0) -> int:
    """The address of what the kernel is to be told; it only reads it, so all threads share one for each set."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | resolve)
    _hows.append(how)
    return ctypes.addressof(how)
