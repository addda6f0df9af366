"""Removes a whole tree whose owner may have been hostile, and may still be writing to it.

The one rule: nothing outside is touched, and no depth, link or mode stops the removal. Instead of descending, folders
are hoisted: each folder's folders move up beside it, so that two descriptors are enough for any depth.
"""

from __future__ import annotations

import os
import secrets

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_ALL = 0o700


def remove_tree(path: str | os.PathLike[str]) -> None:
    """Remove the folder and all in it; one that is not there is removed already. Raises OSError."""
    try:
        top = _open_folder(path, None)
    except FileNotFoundError:
        return
    try:
        while folders := _remove_files(top):
            for name in folders:
                _flatten(top, name)
    finally:
        os.close(top)
    os.rmdir(path)


def _remove_files(folder: int) -> list[str]:
    """Remove all but the folders in it, and return those."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def _flatten(top: int, name: str) -> None:
    folder = _open_folder(name, top)
    try:
        for inner in _remove_files(folder):
            os.close(_open_folder(inner, folder))  # moving a folder needs the right to write to it
            os.rename(inner, secrets.token_hex(16), src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _open_folder(path: str | os.PathLike[str], within: int | None) -> int:
    """Open a folder, never through a link, after giving its owner every right to it."""
    handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    try:
        os.chmod(f"/proc/self/fd/{handle}", _OWNER_ALL)
        return os.open(".", _FOLDER, dir_fd=handle)
    finally:
        os.close(handle)
