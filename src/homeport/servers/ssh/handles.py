"""What an SFTP session has open: files and folders, by the names that the client got for them.

The one rule: a name is given once; used after its end, or guessed, it opens nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from homeport.core.entries import Entry
from homeport.core.errors import NotFound
from homeport.core.paths import VirtualPath
from homeport.core.transfer import Download
from homeport.protocols.sftp.constants import Status
from homeport.servers.ssh.drafts import Draft
from homeport.servers.ssh.errors import Refused


@dataclass(slots=True, eq=False)
class OpenFile:
    """`source` is a Draft for a file that is being written in this session, else a Download."""

    path: VirtualPath
    source: Draft | Download
    reads: bool
    writes: bool = False
    appends: bool = False

    @property
    def is_removed(self) -> bool:
        """Whether its name was removed while it was being written; what has the name now is another file."""
        return self.writes and isinstance(self.source, Draft) and self.source.ended


@dataclass(slots=True, eq=False)
class OpenFolder:
    """`entries` are read as they are asked for; `closing` ends that."""

    path: VirtualPath
    entries: Iterator[Entry]
    closing: ExitStack = field(default_factory=ExitStack)


Opened = OpenFile | OpenFolder


class Handles:
    """At most `most` at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._opened: dict[bytes, Opened] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._opened)

    def require_room(self) -> None:
        """Refuse before anything is opened when there is no room for it."""
        if len(self._opened) >= self.most:
            raise Refused(Status.FAILURE, f"{self.most} files and folders are open in this session; close some first")

    def add(self, opened: Opened) -> bytes:
        """The name by which the client will speak of it."""
        name = next(self._numbers).to_bytes(4, "big")
        self._opened[name] = opened
        return name

    def get(self, name: bytes) -> Opened:
        """Raises Refused for a name that means nothing (any more)."""
        found = self._opened.get(name)
        if found is None:
            raise Refused(Status.FAILURE, "no file or folder is open under this handle")
        return found

    def present(self, name: bytes) -> Opened:
        """As `get`; raises NotFound for a file that was removed while it was being written."""
        found = self.get(name)
        if isinstance(found, OpenFile) and found.is_removed:
            raise NotFound(str(found.path))
        return found

    def file(self, name: bytes) -> OpenFile:
        """As `get`, for a file."""
        found = self.present(name)
        if not isinstance(found, OpenFile):
            raise Refused(Status.FAILURE, "this handle is a folder's, not a file's")
        return found

    def folder(self, name: bytes) -> OpenFolder:
        """As `get`, for a folder."""
        found = self.get(name)
        if not isinstance(found, OpenFolder):
            raise Refused(Status.FAILURE, "this handle is a file's, not a folder's")
        return found

    def remove(self, name: bytes) -> Opened:
        """Forget the name; the caller closes what it meant."""
        found = self.get(name)
        del self._opened[name]
        return found

    def clear(self) -> list[Opened]:
        """Forget all; the caller closes them."""
        opened = list(self._opened.values())
        self._opened.clear()
        return opened
