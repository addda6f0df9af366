"""Opening folders of a home whose permissions the account has taken from the server, which is their owner.

The rule: what lies in a home can be counted. The server and the account's commands are one user, so `chmod 0` on a
folder shuts both out, and what is in it would count for nobody; here the owner gives himself back what he took.
"""

from __future__ import annotations

import os
import stat

_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SEARCH = stat.S_IXUSR


def open_folder(name: str | bytes | os.PathLike[str], flags: int, dir_fd: int | None = None) -> int:
    """Open a folder for reading, with its permissions mended where that is needed. Raises OSError."""
    try:
        fd = os.open(name, flags, dir_fd=dir_fd)
    except PermissionError:
        handle = os.open(name, _HANDLE, dir_fd=dir_fd)
        try:
            let_in(handle)
        finally:
            os.close(handle)
        return os.open(name, flags, dir_fd=dir_fd)
    if not os.fstat(fd).st_mode & _SEARCH:  # its names could be read, but nothing be told of them
        try:
            let_in(fd)
        except BaseException:
            os.close(fd)
            raise
    return fd


def let_in(fd: int) -> None:
    """Give the owner, if that is this user, all rights in the folder `fd`. Raises OSError."""
    found = os.fstat(fd)
    if found.st_uid == os.geteuid():
        os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
