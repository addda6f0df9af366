"""An HPTP server as a Remote: each call waits for its answer, whatever else goes over the same link.

The one rule: closing one Remote does not disturb another; the link goes with the last.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from homeport.client.errors import ConnectionFailed
from homeport.client.flow import Sending
from homeport.client.hptp.flow import HptpFlow, HptpReader, HptpWriter
from homeport.client.hptp.link import Link
from homeport.client.lanes import Source, wait_for
from homeport.client.remote import Abilities, Digest, RemoteEntry, Space, Told
from homeport.client.walking import Walked
from homeport.protocols.hptp.strict_json import Json, JsonObject

T = TypeVar("T")
LANES = 1024  # deeds at a time in one thread, where that many files may be open

_ABILITIES = Abilities(
    digests=("SHA-256", "SHA-512", "SHA-1", "MD5", "CRC32"),
    partial_digests=True,
    set_mtime=True,
    machine_listing=True,
    atomic_upload=True,
    tells_partial_uploads=True,
    keeps_mtime=True,
    describe="HPTP/1 over TLS 1.3; both sides have proved themselves",
)


class SharedLink:
    """A link with the number of its users."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._users = 0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it is good for one user more."""
        return self.link.is_open

    def take(self) -> Link:
        """One user more."""
        with self._lock:
            self._users += 1
        return self.link

    def give_back(self) -> None:
        with self._lock:
            self._users -= 1
            is_last = self._users == 0
        if is_last:
            self.link.close()


class HptpRemote:
    """One user of a shared link."""

    lanes = LANES

    def __init__(self, shared: SharedLink) -> None:
        self._shared = shared
        self._is_closed = False
        self.flow = HptpFlow(shared.take(), _ABILITIES)

    @property
    def abilities(self) -> Abilities:
        return self.flow.abilities

    def list(self, path: str) -> Iterator[RemoteEntry]:
        yield from self._each(self.flow.entries(path))

    def walk(self, path: str) -> Iterator[Walked]:
        """See `walking.TreeRemote`."""
        for some in self._each(self.flow.walk(path)):
            yield from some

    def make_directories(self, paths: Sequence[str]) -> None:
        """See `walking.TreeRemote`."""
        self._wait(self.flow.make_directories(paths))

    def make_and_walk(self, path: str) -> builtins.list[Walked]:
        """See `walking.TreeRemote`."""
        return self._wait(self.flow.make_and_walk(path))

    def ask(self, doing: str, op: str, **arguments: Json) -> JsonObject:
        """A request of this protocol's own, such as `token.create`; `doing` says it for people."""
        return self._wait(self.flow.ask(doing, op, **arguments))

    def items(self, doing: str, op: str, **arguments: Json) -> Iterator[JsonObject]:
        """As `ask`, for a request that is answered by items, one by one as they come."""
        yield from self._each(self.flow.items(doing, op, **arguments))

    def stat(self, path: str) -> RemoteEntry:
        return self._wait(self.flow.stat(path))

    def partial_size(self, path: str) -> int:
        return self._wait(self.flow.partial_size(path))

    def open_reader(self, path: str, offset: int = 0, *, digest: str | None = None) -> BlockingReader:
        return BlockingReader(self._wait(self.flow.open_reader(path, offset, digest)), self._wait)

    def open_writer(
        self, path: str, offset: int = 0, *, size: int | None = None, expected: Digest | None = None
    ) -> BlockingWriter:
        sending = Sending(offset=offset, size=size, mtime_ns=None, expected=expected)
        return BlockingWriter(self._wait(self.flow.open_writer(path, sending)), self._wait)

    def make_directory(self, path: str) -> None:
        self._wait(self.flow.make_directory(path))

    def move(self, source: str, target: str) -> None:
        self._wait(self.flow.move(source, target))

    def remove_file(self, path: str) -> None:
        self._wait(self.flow.remove_file(path))

    def remove_directory(self, path: str) -> None:
        self._wait(self.flow.remove_directory(path))

    def set_mtime(self, path: str, mtime: float, *, told: Told | None = None) -> None:
        self._wait(self.flow.set_mtime_now(path, mtime))
        if told is not None:
            told(None)

    def settle(self) -> None:
        """Every answer was waited for."""

    def digest(self, path: str, algorithm: str = "SHA-256", *, end: int | None = None) -> Digest:
        return self._wait(self.flow.digest(path, algorithm, end))

    def space(self) -> Space:
        return self._wait(self.flow.space())

    def working_directory(self) -> str:
        return "/"

    @property
    def is_open(self) -> bool:
        return not self._is_closed and self._shared.is_open

    def interrupt(self) -> None:
        self.flow.interrupt()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self.flow.interrupt()
            self._shared.give_back()

    def _each(self, found: AsyncIterator[T]) -> Iterator[T]:
        while (one := self._wait(_next_of(found))) is not None:
            yield one

    def _wait(self, deed: Coroutine[Source, None, T]) -> T:
        if self._is_closed:
            deed.close()
            raise ConnectionFailed("the connection was closed")
        return wait_for(deed)


async def _next_of(found: AsyncIterator[T]) -> T | None:
    return await anext(found, None)


Wait = Callable[[Coroutine[Any, Any, Any]], Any]


class BlockingReader:
    """See `remote.Reader`."""

    def __init__(self, reader: HptpReader, wait: Wait) -> None:
        self._reader = reader
        self._wait = wait
        self._rest = memoryview(b"")

    def read_into(self, buffer: memoryview) -> int:
        if not self._rest:
            self._rest = self._wait(self._reader.read())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def finish(self) -> Digest | None:
        told: Digest | None = self._wait(self._reader.finish())
        return told

    def abort(self) -> None:
        self._reader.abort()


class BlockingWriter:
    """See `remote.Writer`."""

    def __init__(self, writer: HptpWriter, wait: Wait) -> None:
        self._writer = writer
        self._wait = wait

    def write(self, data: memoryview) -> None:
        self._wait(self._writer.write(memoryview(bytes(data))))  # the caller uses its buffer again

    def finish(self) -> Digest | None:
        told: Digest | None = self._wait(self._writer.finish(None))
        return told

    def abort(self) -> None:
        self._writer.abort()
