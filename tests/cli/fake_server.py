"""A server in memory for the client's verbs: what a Remote must do, and the faults that a test asks for.

The one rule: it takes the place of the dialling seam alone, so everything from the command line to the engine is real.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from homeport.client.errors import (
    ClientError,
    ConnectionFailed,
    LoginFailed,
    RemoteExists,
    RemoteNotFound,
    ServerRefused,
)
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.remote import Abilities, Digest, Kind, RemoteEntry, Space, Told
from homeport.client.trust import FirstContact, Trust
from homeport.client.url import RemoteUrl

ABILITIES = Abilities(
    digests=("SHA-256", "MD5"),
    partial_digests=True,
    set_mtime=True,
    machine_listing=True,
    atomic_upload=True,
)
KEY = "sha256:" + "ab" * 32


@dataclass
class FakeServer:
    """`files` maps paths to bytes and `folders` are the others; `password` is the only right one."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/"})
    links: set[str] = field(default_factory=set)
    times: dict[str, float] = field(default_factory=dict)
    abilities: Abilities = ABILITIES
    password: str | None = "right"
    is_vouched_for: bool = True
    fail: Callable[[str, str], ClientError | None] = lambda _deed, _path: None
    extra_entries: list[RemoteEntry] = field(default_factory=list)
    dialled: list[tuple[RemoteUrl, str, ConnectionOptions, Trust]] = field(default_factory=list)
    remotes: list[FakeRemote] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, path: str, content: bytes = b"", mtime: float = 1_000_000_000.0) -> None:
        """A file with all folders above it; a folder when `path` ends with a slash."""
        parts = path.strip("/").split("/")
        self.folders |= {"/" + "/".join(parts[:count]) for count in range(1, len(parts))}
        if path.endswith("/"):
            self.folders.add(path.rstrip("/"))
        else:
            self.files[path] = content
            self.times[path] = mtime

    def open_remote(
        self, url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions
    ) -> FakeRemote:
        """In place of `dial.open_remote`."""
        if not self.is_vouched_for:
            trust.judge(FirstContact(url.server, KEY, "2036-01-02"))
        if self.password is not None and credentials.password != self.password:
            raise LoginFailed(f"login of {credentials.user} failed: the server says: no", 530, "no")
        if (failure := self.fail("dial", "/")) is not None:
            raise failure
        self.dialled.append((url, credentials.user, options, trust))
        remote = FakeRemote(self)
        self.remotes.append(remote)
        return remote


class FakeRemote:
    """See `homeport.client.remote.Remote`."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.abilities = server.abilities
        self.is_open = True

    def _begin(self, deed: str, path: str) -> None:
        if not self.is_open:
            raise ConnectionFailed("the connection is closed")
        failure = self.server.fail(deed, path)
        if isinstance(failure, ConnectionFailed):
            self.is_open = False
        if failure is not None:
            raise failure

    def list(self, path: str) -> Iterator[RemoteEntry]:
        self._begin("list", path)
        if path.rstrip("/") not in self.server.folders | {""}:
            raise RemoteNotFound(f"{path}: no such folder", 550, "no")
        with self.server.lock:
            inside = {*self.server.files, *self.server.folders, *self.server.links}
        above = path.rstrip("/") + "/"
        for name in sorted(each[len(above) :] for each in inside if each.startswith(above)):
            if name and "/" not in name:
                yield self._entry(above + name)
        yield from self.server.extra_entries

    def stat(self, path: str) -> RemoteEntry:
        self._begin("stat", path)
        return self._entry(path)

    def _entry(self, path: str) -> RemoteEntry:
        server, name = self.server, path.rpartition("/")[2]
        with server.lock:
            if path in server.files:
                return RemoteEntry(name, Kind.FILE, len(server.files[path]), server.times.get(path), 0o640)
            if path in server.links:
                return RemoteEntry(name, Kind.LINK)
            if path.rstrip("/") in server.folders | {""}:
                return RemoteEntry(name, Kind.DIRECTORY, None, 1_000_000_000.0, 0o750)
        raise RemoteNotFound(f"{path}: no such file or folder", 550, "no")

    def partial_size(self, path: str) -> int:
        return len(self.server.files.get(path, b""))

    def open_reader(self, path: str, offset: int = 0, *, digest: str | None = None) -> FakeReader:
        self._begin("read", path)
        if path not in self.server.files:
            raise RemoteNotFound(f"{path}: no such file", 550, "no")
        return FakeReader(self, path, offset, digest)

    def open_writer(
        self, path: str, offset: int = 0, *, size: int | None = None, expected: Digest | None = None
    ) -> FakeWriter:
        self._begin("write", path)
        if path.rpartition("/")[0] not in self.server.folders | {""}:
            raise RemoteNotFound(f"{path}: no such folder", 550, "no")
        return FakeWriter(self, path, offset)

    def make_directory(self, path: str) -> None:
        self._begin("mkdir", path)
        if path in self.server.folders or path in self.server.files:
            raise RemoteExists(f"{path} exists", 550, "exists")
        self.server.folders.add(path)

    def move(self, source: str, target: str) -> None:
        self._begin("move", source)
        with self.server.lock:
            if source in self.server.files:
                self.server.files[target] = self.server.files.pop(source)
            elif source in self.server.folders:
                self.server.folders.remove(source)
                self.server.folders.add(target)
            else:
                raise RemoteNotFound(f"{source}: no such name", 550, "no")

    def remove_file(self, path: str) -> None:
        self._begin("remove", path)
        with self.server.lock:
            if path in self.server.links:
                self.server.links.remove(path)
            elif self.server.files.pop(path, None) is None:
                raise RemoteNotFound(f"{path}: no such file", 550, "no")

    def remove_directory(self, path: str) -> None:
        self._begin("rmdir", path)
        if any(True for _ in self.list(path)):
            raise ServerRefused(f"{path} is not empty", 550, "not empty")
        self.server.folders.remove(path)

    def set_mtime(self, path: str, mtime: float, *, told: Told | None = None) -> None:
        self.server.times[path] = mtime
        if told is not None:
            told(None)

    def settle(self) -> None:
        pass

    def digest(self, path: str, algorithm: str = "SHA-256", *, end: int | None = None) -> Digest:
        self._begin("digest", path)
        content = self.server.files[path][:end]
        return Digest(algorithm, hashlib.new(algorithm.lower().replace("-", ""), content).hexdigest())

    def space(self) -> Space:
        self._begin("space", "/")
        return Space(3 * 1024 * 1024, 1024, None)

    def working_directory(self) -> str:
        self._begin("pwd", "/")
        return "/"

    def interrupt(self) -> None:
        self.is_open = False

    def close(self) -> None:
        self.is_open = False


class FakeReader:
    def __init__(self, remote: FakeRemote, path: str, offset: int, algorithm: str | None) -> None:
        self._remote = remote
        self._path = path
        self._rest = remote.server.files[path][offset:]
        self._algorithm = algorithm

    def read_into(self, buffer: memoryview) -> int:
        self._remote._begin("reading", self._path)
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    def finish(self) -> Digest | None:
        with contextlib.suppress(KeyError):
            return None if self._algorithm is None else self._remote.digest(self._path, self._algorithm)
        return None

    def abort(self) -> None:
        self._remote.is_open = False


class FakeWriter:
    def __init__(self, remote: FakeRemote, path: str, offset: int) -> None:
        self._remote = remote
        self._path = path
        self._content = bytearray(remote.server.files.get(path, b"")[:offset])

    def write(self, data: memoryview) -> None:
        self._remote._begin("writing", self._path)
        self._content += data

    def finish(self) -> Digest | None:
        self._remote._begin("commit", self._path)
        with self._remote.server.lock:
            self._remote.server.files[self._path] = bytes(self._content)
        return self._remote.digest(self._path)

    def abort(self) -> None:
        self._remote.is_open = False
