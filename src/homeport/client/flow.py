"""A Remote as deeds use it: what has to be waited for is awaited, so that one thread can do many deeds.

The one rule: nothing new can be asked here. `AtOnce` makes a Flow of any Remote; one that does many things at once has
a Flow of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Protocol, cast

from homeport.client.remote import Abilities, Digest, Reader, Remote, RemoteEntry, Told, Writer

BLOCK_BYTES = 256 * 1024


class FlowReader(Protocol):
    """The bytes of a remote file; see `remote.Reader`. `abort` never waits."""

    async def read(self) -> memoryview:
        """The next bytes, good until the next call; none at the end."""
        ...

    async def finish(self) -> Digest | None: ...

    def abort(self) -> None: ...


class FlowWriter(Protocol):
    """The bytes of a remote file that is being stored; see `remote.Writer`. `abort` never waits."""

    async def write(self, data: memoryview) -> None:
        """Send all of `data`, which is not changed while anybody looks at it."""
        ...

    async def finish(self, ours: Digest | None) -> Digest | None:
        """As `Writer.finish`; `ours` is the whole file's digest on this side, for a server that checks it."""
        ...

    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What is known of a file that is about to be sent; see `Remote.open_writer`. `mtime_ns`: its time, to be kept."""

    offset: int = 0
    size: int | None = None
    mtime_ns: int | None = None
    expected: Digest | None = None


class Flow(Protocol):
    """See `Remote`."""

    @property
    def abilities(self) -> Abilities: ...

    async def list(self, path: str, most: int) -> tuple[RemoteEntry, ...]:
        """The first `most` entries."""
        ...

    async def stat(self, path: str) -> RemoteEntry: ...

    async def partial_size(self, path: str) -> int: ...

    async def open_reader(self, path: str, offset: int, digest: str | None) -> FlowReader: ...

    async def open_writer(self, path: str, sending: Sending) -> FlowWriter: ...

    async def make_directory(self, path: str) -> None: ...

    async def move(self, source: str, target: str) -> None: ...

    async def remove_file(self, path: str) -> None: ...

    async def remove_directory(self, path: str) -> None: ...

    async def set_mtime(self, path: str, mtime: float, told: Told) -> None: ...

    async def digest(self, path: str, algorithm: str, end: int | None = None) -> Digest: ...


class ManyAtOnce(Remote, Protocol):
    """A Remote that does `lanes` things at a time, asked by its flow."""

    @property
    def flow(self) -> Flow: ...

    @property
    def lanes(self) -> int: ...


def flow_of(remote: Remote) -> tuple[Flow, int]:
    """How deeds use `remote`, and how many of them at a time."""
    if hasattr(remote, "flow"):
        many = cast(ManyAtOnce, remote)
        return many.flow, many.lanes
    return AtOnce(remote), 1


class AtOnce:
    """The Flow of a Remote that does one thing at a time."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    @property
    def abilities(self) -> Abilities:
        return self._remote.abilities

    async def list(self, path: str, most: int) -> tuple[RemoteEntry, ...]:
        return tuple(islice(self._remote.list(path), most))

    async def stat(self, path: str) -> RemoteEntry:
        return self._remote.stat(path)

    async def partial_size(self, path: str) -> int:
        return self._remote.partial_size(path)

    async def open_reader(self, path: str, offset: int, digest: str | None) -> FlowReader:
        return _ReaderAtOnce(self._remote.open_reader(path, offset, digest=digest))

    async def open_writer(self, path: str, sending: Sending) -> FlowWriter:
        return _WriterAtOnce(
            self._remote.open_writer(path, sending.offset, size=sending.size, expected=sending.expected)
        )

    async def make_directory(self, path: str) -> None:
        self._remote.make_directory(path)

    async def move(self, source: str, target: str) -> None:
        self._remote.move(source, target)

    async def remove_file(self, path: str) -> None:
        self._remote.remove_file(path)

    async def remove_directory(self, path: str) -> None:
        self._remote.remove_directory(path)

    async def set_mtime(self, path: str, mtime: float, told: Told) -> None:
        self._remote.set_mtime(path, mtime, told=told)

    async def digest(self, path: str, algorithm: str, end: int | None = None) -> Digest:
        return self._remote.digest(path, algorithm, end=end)


class _ReaderAtOnce:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._buffer = memoryview(bytearray(BLOCK_BYTES))
        self.abort = reader.abort

    async def read(self) -> memoryview:
        return self._buffer[: self._reader.read_into(self._buffer)]

    async def finish(self) -> Digest | None:
        return self._reader.finish()


class _WriterAtOnce:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.abort = writer.abort

    async def write(self, data: memoryview) -> None:
        self._writer.write(data)

    async def finish(self, ours: Digest | None) -> Digest | None:  # noqa: ARG002 - was announced where that helps
        return self._writer.finish()
