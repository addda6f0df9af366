"""What a client can ask of a server, whatever protocol it speaks.

A Remote is one logged-in connection, used by one thread at a time; the transfer engine opens as many as it has jobs.
Paths are absolute, with `/` between segments, as the server shows them; names that fit no charset carry surrogates.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from homeport.client.errors import ClientError


class Kind(enum.Enum):
    """What a remote name stands for."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """One name: `size` in bytes and `mtime` in seconds since the epoch are None where the server does not tell.

    `is_link` says that the name is a link, and the rest what it leads to: known of names that were asked for.
    """

    name: str
    kind: Kind
    size: int | None = None
    mtime: float | None = None
    mode: int | None = None
    is_link: bool = False

    @property
    def is_directory(self) -> bool:
        return self.kind is Kind.DIRECTORY


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest: `algorithm` in the IANA spelling (SHA-256, SHA-1, MD5, CRC32), `value` in lower-case hex."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class Space:
    """Room in bytes; None where there is no limit or the server does not tell."""

    free_bytes: int | None
    used_bytes: int | None = None
    quota_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this server can do beyond the least, found out at login.

    `atomic_upload`: a name shows the old file or the new one whole, never a half. `checks_uploads`: what does not fit
    the digest announced to `open_writer` never gets the name. `tells_partial_uploads`: `partial_size` speaks of the
    unfinished upload even where a whole file has the name. `keeps_mtime`: an upload brings its modification time along.
    `unsure_tail_bytes`: of an unfinished upload, so many bytes at its end may have gaps, because they were on their way
    at the same time.
    """

    digests: tuple[str, ...] = ()
    partial_digests: bool = False
    resume_upload: bool = True
    resume_download: bool = True
    set_mtime: bool = False
    machine_listing: bool = False
    atomic_upload: bool = False
    checks_uploads: bool = False
    tells_partial_uploads: bool = False
    keeps_mtime: bool = False
    unsure_tail_bytes: int = 0
    describe: str = ""


Told = Callable[[ClientError | None], None]
"""Hears how something went that was not waited for: None when it went well."""


class Reader(Protocol):
    """The bytes of a remote file from an offset on."""

    def read_into(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end. Raises ConnectionFailed when the end is not a true one."""
        ...

    def finish(self) -> Digest | None:
        """Ends a download read to its end; gives the whole file's digest when the server told it."""
        ...

    def abort(self) -> None:
        """Ends it early; the Remote stays usable or is closed."""
        ...


class Writer(Protocol):
    """The bytes of a remote file that is being stored."""

    def write(self, data: memoryview) -> None:
        """Send all of `data`."""
        ...

    def finish(self) -> Digest | None:
        """Ends the upload and waits for the server's word; gives the whole file's digest when the server told it."""
        ...

    def abort(self) -> None:
        """Ends it early; what the server keeps of it is the server's matter."""
        ...


class Remote(Protocol):
    """One logged-in connection. Every method may raise ConnectionFailed, ServerRefused and their kin."""

    @property
    def abilities(self) -> Abilities: ...

    def list(self, path: str) -> Iterator[RemoteEntry]:
        """The entries of a folder, streamed; names that could not be files (`.`, `..`, with a slash) are left out."""
        ...

    def stat(self, path: str) -> RemoteEntry:
        """One name; RemoteNotFound when there is none."""
        ...

    def partial_size(self, path: str) -> int:
        """How many bytes of an interrupted upload of `path` the server holds; 0 when it does not tell."""
        ...

    def open_reader(self, path: str, offset: int = 0, *, digest: str | None = None) -> Reader:
        """Fetch `path` from `offset` on. `digest` names an algorithm in which `Reader.finish` is to tell the whole
        file's digest, where that costs no further round trip.
        """
        ...

    def open_writer(
        self, path: str, offset: int = 0, *, size: int | None = None, expected: Digest | None = None
    ) -> Writer:
        """Store `path`, going on at `offset`. `size` of the whole file lets the server refuse before a byte is sent;
        `expected` is the whole file's digest, for a server with `Abilities.checks_uploads`.
        """
        ...

    def make_directory(self, path: str) -> None: ...

    def move(self, source: str, target: str) -> None: ...

    def remove_file(self, path: str) -> None: ...

    def remove_directory(self, path: str) -> None: ...

    def set_mtime(self, path: str, mtime: float, *, told: Told | None = None) -> None:
        """Set a file's modification time. With `told` it does not wait: the answer is told later, at `settle` at the
        latest.
        """
        ...

    def settle(self) -> None:
        """Wait for every answer that nobody waited for."""
        ...

    def digest(self, path: str, algorithm: str = "SHA-256", *, end: int | None = None) -> Digest:
        """The digest of a file or of its first `end` bytes; Incompatible when the server has no such."""
        ...

    def space(self) -> Space: ...

    def working_directory(self) -> str:
        """Where relative paths begin: the folder of the login."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it can still be used; a failure in the middle of something may have ended it."""
        ...

    def interrupt(self) -> None:
        """From another thread: whatever is waited for fails now with ConnectionFailed."""
        ...

    def close(self) -> None: ...
