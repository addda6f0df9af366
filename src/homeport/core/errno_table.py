"""What the kernel's error numbers mean for an account: one table, so that no OSError ever reaches a server.

The rule: what is about a name becomes a PathError, what is about the disk a StorageError; a number without a row is a
failure of the disk, never a success.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping

from homeport.core.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    HomeportError,
    HomeUnavailable,
    InvalidPath,
    IsADirectory,
    NotADirectory,
    NotARegularFile,
    NotFound,
    NotPermitted,
    OutsideHome,
    StorageError,
    StorageFailed,
    StorageFull,
)

ErrorOf = Callable[[str], HomeportError]


def _invalid(reason: str) -> ErrorOf:
    return lambda path: InvalidPath(path, reason)


def _not_permitted(reason: str) -> ErrorOf:
    return lambda path: NotPermitted(path, reason)


_PATH_ERRORS: Mapping[int, ErrorOf] = {
    errno.ENOENT: NotFound,
    errno.EEXIST: AlreadyExists,
    errno.ENOTDIR: NotADirectory,
    errno.EISDIR: IsADirectory,
    errno.ENOTEMPTY: DirectoryNotEmpty,
    errno.EXDEV: OutsideHome,
    errno.ELOOP: OutsideHome,  # a link into /proc, or links that lead to each other
    errno.ENXIO: NotARegularFile,
    errno.ENODEV: NotARegularFile,
    errno.EINVAL: _invalid("the file system cannot hold this name or value"),
    errno.EILSEQ: _invalid("the file system cannot hold this name or value"),
    errno.ENAMETOOLONG: _invalid("the name is too long"),
    errno.EMLINK: _invalid("the folder holds as many folders as it can"),
    errno.EACCES: _not_permitted("the server has no access to it"),
    errno.EPERM: _not_permitted("the server has no access to it"),
    errno.EROFS: _not_permitted("it lies on a read-only file system"),
    errno.EBUSY: _not_permitted("the system is using it"),
}

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE = frozenset({errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ESHUTDOWN})


def translate(error: OSError, path: str, special: Mapping[int, ErrorOf] | None = None) -> HomeportError:
    """The core error for `error`, met at `path` as the account sees it.

    `special` holds the numbers that mean something else in this one operation.
    """
    number = error.errno or 0
    of_path = (special or {}).get(number) or _PATH_ERRORS.get(number)
    return of_path(path) if of_path else storage_error(error)


def storage_error(error: OSError) -> StorageError:
    """The core error for `error`, met on an open descriptor, where no name can be at fault."""
    number = error.errno or 0
    if number in _FULL:
        return StorageFull()
    if number in _GONE:  # a mount that went away
        return HomeUnavailable()
    return StorageFailed(errno.errorcode.get(number, str(number)))
