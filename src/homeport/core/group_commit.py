"""Many small uploads made to last at once: one wait for all of them in place of two for each.

The rule: as with one, a file gets its name only when its bytes are on the disk, and is answered for only when the name
is, too; what goes wrong with one file is told of that one alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from homeport.core.durability import Durability, Policy
from homeport.core.errno_table import storage_error
from homeport.core.errors import HomeportError
from homeport.core.transfer import Stored, Upload

_Folder = tuple[int, int]  # device and inode


def commit_together(sealed: Sequence[Upload], durability: Durability) -> list[Stored | HomeportError]:
    """Put sealed uploads in place; for each what was stored, or why not. All of them have ended afterwards."""
    commits = [_Commit(upload) for upload in sealed]
    folders = None if durability.policy is Policy.NEVER else _Folders()
    for commit, lost in zip(commits, durability.flush_all([upload.fileno() for upload in sealed]), strict=True):
        commit.place(lost, folders)
    failures = folders.flush(durability) if folders else {}
    return [commit.conclude(failures) for commit in commits]


class _Folders:
    """The folders that got new names, each to be flushed once."""

    def __init__(self) -> None:
        self._fds: dict[_Folder, int] = {}

    def note(self, fd: int) -> _Folder:
        """Keep the folder `fd`, which its owner closes, until `flush`. Raises StorageError."""
        try:
            found = os.fstat(fd)
            folder = found.st_dev, found.st_ino
            if folder not in self._fds:
                self._fds[folder] = os.dup(fd)
        except OSError as error:
            raise storage_error(error) from error
        return folder

    def flush(self, durability: Durability) -> dict[_Folder, HomeportError]:
        """Make the names last; what went wrong with which folder."""
        failures: dict[_Folder, HomeportError] = {}
        for folder, fd in self._fds.items():
            try:
                durability.flush_directory(fd)
            except HomeportError as error:
                failures[folder] = error
            finally:
                os.close(fd)
        return failures


class _Commit:
    """One of the uploads on its way."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._folder: _Folder | None = None
        self._refused: HomeportError | None = None  # it is not in place
        self._doubtful: HomeportError | None = None  # it is, and may not last

    def place(self, lost: HomeportError | None, folders: _Folders | None) -> None:
        """Give the file its name, unless its bytes are `lost`."""

        def note(fd: int) -> None:
            assert folders is not None
            self._folder = folders.note(fd)

        try:
            if lost is not None:
                self._upload.spoil()
                raise lost
            self._doubtful = self._upload.install(note if folders else None)
        except HomeportError as error:
            self._refused = error

    def conclude(self, failures: dict[_Folder, HomeportError]) -> Stored | HomeportError:
        if self._refused is not None:
            self._upload.abort(str(self._refused))
            return self._refused
        doubtful = self._doubtful or (failures.get(self._folder) if self._folder else None)
        try:
            return self._upload.conclude(doubtful)
        except HomeportError as error:
            return error
