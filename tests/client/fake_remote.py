"""A server in memory that can cut, refuse, lie and run full, and the Remotes that lead to it."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from homeport.client.errors import (
    ClientError,
    ConnectionFailed,
    Incompatible,
    IntegrityMismatch,
    RemoteExists,
    RemoteNotFound,
    ServerRefused,
)
from homeport.client.remote import Abilities, Digest, Kind, RemoteEntry, Space, Told

OURS = Abilities(
    digests=("SHA-256",),
    partial_digests=True,
    set_mtime=True,
    machine_listing=True,
    atomic_upload=True,
    checks_uploads=True,
    tells_partial_uploads=True,
)
PLAIN = Abilities(set_mtime=True, machine_listing=True)
HASHING = replace(PLAIN, digests=("MD5", "SHA-256"), partial_digests=True)
BARE = Abilities()


@dataclass
class FakeFile:
    data: bytes
    mtime: float | None = 1_000_000_000.0


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class FakeServer:
    """`cuts`: after so many more bytes the connection breaks, one after the other. `refusals`: what the next call of
    an operation raises, by operation and path (or "*"). `before`: called with operation and path before each.
    """

    abilities: Abilities = OURS
    files: dict[str, FakeFile] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/"})
    partials: dict[str, bytes] = field(default_factory=dict)
    block: int = 10
    cuts: deque[int] = field(default_factory=deque)
    refusals: dict[tuple[str, str], deque[ClientError]] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda _operation, _path: None
    listed_sizes: dict[str, int | None] = field(default_factory=dict)
    false_digest: str = ""
    extra_entries: dict[str, list[RemoteEntry]] = field(default_factory=dict)
    hidden_entries: bool = False
    dial_refusals: deque[ClientError] = field(default_factory=deque)
    max_connections: int = 100
    log: list[tuple[str, str]] = field(default_factory=list)
    remotes: list[FakeRemote] = field(default_factory=list)
    moved: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def dial(self) -> FakeRemote:
        with self.lock:
            self.log.append(("dial", ""))
            if self.dial_refusals:
                raise self.dial_refusals.popleft()
            if sum(remote.is_open for remote in self.remotes) >= self.max_connections:
                raise ConnectionFailed("too many connections")
            remote = FakeRemote(self)
            self.remotes.append(remote)
            return remote

    def refuse(self, operation: str, path: str, *errors: ClientError) -> None:
        self.refusals.setdefault((operation, path), deque()).extend(errors)

    def put(self, path: str, data: bytes, mtime: float | None = 1_000_000_000.0) -> None:
        folder = path.rpartition("/")[0]
        while folder:
            self.folders.add(folder)
            folder = folder.rpartition("/")[0]
        self.files[path] = FakeFile(data, mtime)

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.log)

    def entry(self, path: str) -> RemoteEntry:
        name = path.rpartition("/")[2]
        if path in self.files:
            file = self.files[path]
            return RemoteEntry(name, Kind.FILE, self.listed_sizes.get(path, len(file.data)), file.mtime)
        if path in self.folders:
            return RemoteEntry(name, Kind.DIRECTORY)
        raise RemoteNotFound(f"cannot look at {path}: the server says: no such file", 550, "no such file")


class FakeRemote:
    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.is_open = True
        self.late: list[Callable[[], None]] = []
        self.interrupted = threading.Event()

    @property
    def abilities(self) -> Abilities:
        return self.server.abilities

    def step(self, operation: str, path: str) -> None:
        with self.server.lock:
            self.server.log.append((operation, path))
            self.server.before(operation, path)
            self.check()
            for key in ((operation, path), (operation, "*")):
                if self.server.refusals.get(key):
                    error = self.server.refusals[key].popleft()
                    if not isinstance(error, ServerRefused):
                        self.drop()
                    raise error

    def check(self) -> None:
        if self.interrupted.is_set():
            self.drop()
        if not self.is_open:
            raise ConnectionFailed("the connection is closed")

    def drop(self) -> None:
        self.is_open = False

    def may_move(self, amount: int) -> int:
        """How many of `amount` bytes come through before the line breaks; it breaks when 0."""
        with self.server.lock:
            self.check()
            cuts = self.server.cuts
            if cuts and amount >= cuts[0]:
                amount = cuts.popleft()
                self.drop()
            elif cuts:
                cuts[0] -= amount
            self.server.moved += amount
            return amount

    def list(self, path: str) -> Iterator[RemoteEntry]:
        self.step("list", path)
        if path not in self.server.folders and not self.server.hidden_entries:
            raise RemoteNotFound(f"cannot list {path}", 550, "not found")
        prefix = path.rstrip("/") + "/"
        for name in sorted([*self.server.files, *self.server.folders]):
            if name.startswith(prefix) and name != "/" and "/" not in name[len(prefix) :]:
                yield self.server.entry(name)
        yield from self.server.extra_entries.get(path, [])

    def stat(self, path: str) -> RemoteEntry:
        self.step("stat", path)
        return self.server.entry(path)

    def partial_size(self, path: str) -> int:
        self.step("partial_size", path)
        if self.abilities.atomic_upload and (self.abilities.tells_partial_uploads or path not in self.server.files):
            return len(self.server.partials.get(path, b""))
        return len(self.server.files[path].data) if path in self.server.files else 0

    def open_reader(self, path: str, offset: int = 0, *, digest: str | None = None) -> FakeReader:
        self.step("open_reader", path)
        if path not in self.server.files:
            raise RemoteNotFound(f"cannot fetch {path}", 550, "no such file")
        return FakeReader(self, path, offset, digest)

    def open_writer(
        self, path: str, offset: int = 0, *, size: int | None = None, expected: Digest | None = None
    ) -> FakeWriter:
        self.step("open_writer", path)
        return FakeWriter(self, path, offset, expected)

    def make_directory(self, path: str) -> None:
        self.step("make_directory", path)
        if path in self.server.folders or path in self.server.files:
            raise RemoteExists(f"cannot make {path}: exists", 550, "exists")
        if (path.rpartition("/")[0] or "/") not in self.server.folders:
            raise RemoteNotFound(f"cannot make {path}: no such folder", 550, "no such folder")
        self.server.folders.add(path)

    def move(self, source: str, target: str) -> None:
        self.step("move", target)
        self.server.files[target] = self.server.files.pop(source)

    def remove_file(self, path: str) -> None:
        self.step("remove_file", path)
        if self.server.files.pop(path, None) is None:
            raise RemoteNotFound(f"cannot remove {path}", 550, "no such file")

    def remove_directory(self, path: str) -> None:
        self.step("remove_directory", path)
        if any(name.startswith(path + "/") for name in (*self.server.files, *self.server.folders)):
            raise ServerRefused(f"cannot remove {path}: not empty", 550, "not empty")
        if path not in self.server.folders:
            raise RemoteNotFound(f"cannot remove {path}", 550, "no such folder")
        self.server.folders.discard(path)

    def set_mtime(self, path: str, mtime: float, *, told: Told | None = None) -> None:
        def answer() -> None:
            error: ClientError | None = None
            try:
                self.step("set_mtime", path)
                self.server.files[path].mtime = mtime
            except ClientError as failure:
                error = failure
            if told is not None:
                told(error)
            elif error is not None:
                raise error

        if told is None:
            answer()
        else:
            self.late.append(answer)

    def settle(self) -> None:
        late, self.late = self.late, []
        for answer in late:
            answer()
        self.step("settle", "")

    def digest(self, path: str, algorithm: str = "SHA-256", *, end: int | None = None) -> Digest:
        self.step("digest", path)
        if algorithm not in self.abilities.digests:
            raise Incompatible("no such digest")
        data = self.server.files[path].data[:end]
        return Digest(algorithm, self.server.false_digest or hashlib.new(algorithm.replace("-", ""), data).hexdigest())

    def space(self) -> Space:
        return Space(None)

    def working_directory(self) -> str:
        return "/"

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        late, self.late = self.late, []
        for answer in late:
            answer()
        self.drop()


class FakeReader:
    def __init__(self, remote: FakeRemote, path: str, offset: int, digest: str | None) -> None:
        self.remote = remote
        self.path = path
        self.position = offset
        self.algorithm = digest
        self.data = remote.server.files[path].data

    def read_into(self, buffer: memoryview) -> int:
        self.remote.step("read", self.path)
        count = min(self.remote.server.block, len(buffer), len(self.data) - self.position)
        if not count:
            return 0
        count = self.remote.may_move(count)
        if not count:
            raise ConnectionFailed("the data connection broke")
        buffer[:count] = self.data[self.position : self.position + count]
        self.position += count
        return count

    def finish(self) -> Digest | None:
        self.remote.step("finish_read", self.path)
        if self.algorithm and self.remote.abilities.atomic_upload:
            return self.remote.digest(self.path, self.algorithm)
        return None

    def abort(self) -> None:
        self.remote.drop()


class FakeWriter:
    def __init__(self, remote: FakeRemote, path: str, offset: int, expected: Digest | None) -> None:
        self.remote = remote
        self.path = path
        self.expected = expected
        server = remote.server
        if server.abilities.atomic_upload:
            kept = server.partials.get(path) or (server.files[path].data if path in server.files else b"")
        else:
            kept = server.files[path].data if path in server.files else b""
        self.data = bytearray(kept[:offset])
        self.keep()

    def keep(self) -> None:
        server = self.remote.server
        if server.abilities.atomic_upload:
            server.partials[self.path] = bytes(self.data)
        else:
            server.files[self.path] = FakeFile(bytes(self.data), 2_000_000_000.0)

    def write(self, data: memoryview) -> None:
        while data:
            self.remote.step("write", self.path)
            count = self.remote.may_move(min(self.remote.server.block, len(data)))
            self.data += data[:count]
            self.keep()
            data = data[count:]
            if not self.remote.is_open and data:
                raise ConnectionFailed("the data connection broke")

    def finish(self) -> Digest | None:
        self.remote.step("finish_write", self.path)
        server = self.remote.server
        self.remote.check()
        if not server.abilities.atomic_upload:
            return None
        server.partials.pop(self.path, None)
        value = server.false_digest or sha256(bytes(self.data))
        if self.expected is not None and server.abilities.checks_uploads and self.expected.value != value:
            raise IntegrityMismatch("not as announced", self.expected.value, value)
        server.files[self.path] = FakeFile(bytes(self.data), 2_000_000_000.0)
        return Digest("SHA-256", value) if server.abilities.digests else None

    def abort(self) -> None:
        self.remote.drop()
