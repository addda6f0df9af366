"""What rename(2) cannot say: renameat2(2), through ctypes, for Python has none.

The rule: both names are plain names in folders that are held open. Where the kernel or the file system knows no such
rename, OSError says so (EINVAL, ENOSYS, EOPNOTSUPP), and the caller does without.
"""

from __future__ import annotations

import ctypes
import os
from typing import NamedTuple

_NOREPLACE = 1
_EXCHANGE = 2

_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_uint,
    use_errno=True,
)
_renameat2 = _PROTOTYPE(("renameat2", ctypes.CDLL(None)))


class Place(NamedTuple):
    """One name in the folder that `folder` holds open."""

    folder: int
    name: bytes


def exchange(one: Place, other: Place) -> None:
    """Let two existing files change names, in one step."""
    _rename(one, other, _EXCHANGE)


def rename_to_new(source: Place, target: Place) -> None:
    """Rename; FileExistsError when there is something at `target`."""
    _rename(source, target, _NOREPLACE)


def _rename(source: Place, target: Place, flags: int) -> None:
    if _renameat2(source.folder, source.name, target.folder, target.name, flags):
        failure = ctypes.get_errno()
        raise OSError(failure, os.strerror(failure))
