"""Resolution of paths by the kernel: openat2(2) with RESOLVE_BENEATH, which no race can lead astray.

The rule: every path is resolved below the descriptor it starts from, and magic links (those of /proc) are never
followed. Python has no openat2, so it is called through ctypes. The kernel has it since Linux 5.6; containers may
forbid it: `available()` tells, and `homeport.core.beneath` does the same by hand.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Sequence

from homeport.core.paths import name_bytes

_SYS_OPENAT2 = 437  # the same number on every architecture that Python runs on
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_TRIES = 256  # EAGAIN means that a rename raced with `..` in a link

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_SIZE = ctypes.c_size_t(ctypes.sizeof(_OpenHow))


class KernelResolver:
    """Opens what lies below a folder with openat2."""

    def open(self, root_fd: int, segments: Sequence[str], flags: int) -> int:
        """Open `segments` below `root_fd` and return a new descriptor, closed on exec.

        `flags` is O_PATH or O_RDONLY, with O_DIRECTORY and O_NOFOLLOW (for the last segment) as wanted. Segments may
        be `..`, as in the target of a link. Raises OSError: EXDEV for what leads outside, ELOOP for too many links.
        """
        path = name_bytes("/".join(segments)) or b"."
        if b"\0" in path or path.startswith(b"/"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        for _ in range(_TRIES):
            fd = _openat2(root_fd, path, flags)
            if fd >= 0:
                return fd
            failure = ctypes.get_errno()
            if failure not in (errno.EAGAIN, errno.EINTR):
                break
        raise OSError(failure, os.strerror(failure))


@functools.cache
def available() -> bool:
    """Whether this kernel, and whatever filters its system calls, allows openat2."""
    fd = _openat2(-100, b".", os.O_PATH)  # AT_FDCWD: any folder will do
    if fd >= 0:
        os.close(fd)
    return fd >= 0 or ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM)


def _openat2(root_fd: int, path: bytes, flags: int) -> int:
    fd: int = _libc.syscall(_SYS_OPENAT2, ctypes.c_int(root_fd), ctypes.c_char_p(path), _how(flags), _HOW_SIZE)
    return fd


@functools.cache
def _how(flags: int) -> object:
    # The kernel only reads it, so all threads share one for each set of flags.
    return ctypes.byref(_OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS))
