"""The behaviours against `Home` itself: what every protocol is measured by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tests.contract.house import House
from tests.contract.subject import Connect, Facts, HomeUnderTest, Kind, OpenDownload, OpenUpload, Refused

from homeport.core import errors
from homeport.core.entries import Kind as EntryKind
from homeport.core.home import Home
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.transfer import Download, Upload

KINDS: dict[type[errors.HomeportError], Kind] = {
    errors.InvalidPath: Kind.INVALID,
    errors.NotFound: Kind.NOT_FOUND,
    errors.AlreadyExists: Kind.EXISTS,
    errors.NotADirectory: Kind.NOT_A_DIRECTORY,
    errors.IsADirectory: Kind.IS_A_DIRECTORY,
    errors.DirectoryNotEmpty: Kind.NOT_EMPTY,
    errors.NotARegularFile: Kind.NOT_A_FILE,
    errors.OutsideHome: Kind.OUTSIDE,
    errors.RootRefused: Kind.ROOT,
    errors.RightMissing: Kind.DENIED,
    errors.Busy: Kind.BUSY,
    errors.OffsetPastEnd: Kind.PAST_END,
    errors.SizeMismatch: Kind.WRONG_SIZE,
    errors.DigestMismatch: Kind.WRONG_DIGEST,
    errors.SourceChanged: Kind.CHANGED,
    errors.QuotaExceeded: Kind.QUOTA,
    errors.StorageFull: Kind.FULL,
    errors.StorageFailed: Kind.FAILED,
}
P = ParamSpec("P")
T = TypeVar("T")


def told(deed: Callable[P, T]) -> Callable[P, T]:
    """Core errors come out as the contract's refusals."""

    @wraps(deed)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return deed(*args, **kwargs)
        except errors.HomeportError as error:
            raise Refused(frozenset({KINDS[type(error)]}), str(error)) from error

    return wrapped


@contextmanager
def serve(house: House) -> Iterator[Connect]:
    """Nothing to start: a session is a `Home`."""

    def connect(account: str, password: str) -> HomeUnderTest:
        return DirectClient(house.open_home(account))

    yield connect


class DirectUpload:
    """An upload of `Home`, cut as a server does when the connection breaks."""

    def __init__(self, upload: Upload, announced: dict[str, Any] | None = None) -> None:
        self._upload = upload
        self._announced = announced or {}

    @told
    def send(self, data: bytes) -> None:
        try:
            self._upload.write(data)
        except errors.HomeportError as error:
            self._upload.abort(str(error))
            raise

    @told
    def finish(self) -> None:
        with self._upload:
            self._upload.commit(**self._announced)

    @told
    def cut(self) -> None:
        self._upload.abort("cut")


class DirectDownload:
    """A download of `Home`."""

    def __init__(self, download: Download) -> None:
        self._download = download

    @told
    def receive(self, size: int) -> bytes:
        buffer = bytearray(size)
        count = self._download.read_into(buffer)
        return bytes(buffer[:count])

    @told
    def rest(self) -> bytes:
        parts = []
        with self._download:
            while part := self.receive(65_536):
                parts.append(part)
            self._download.finish()
        return b"".join(parts)

    @told
    def cut(self) -> None:
        self._download.abort("cut")


class DirectClient:
    """One session."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def put(self, path: str, data: bytes) -> None:
        self._store(self.begin_put(path), data)

    def put_from(self, path: str, offset: int, data: bytes) -> None:
        self._store(self.begin_put(path, offset=offset), data)

    def append(self, path: str, data: bytes) -> None:
        self._store(self.begin_put(path, append=True), data)

    @told
    def put_announced(self, path: str, data: bytes, *, size: int | None = None, sha256: str | None = None) -> None:
        announced = {"expected_size": size, "expected_sha256": sha256}
        self._store(DirectUpload(self._home.begin_upload(where(path), expected_size=size), announced), data)

    @told
    def put_unique(self, path: str, data: bytes) -> str:
        name = self._home.unique_name(where(path))
        self._store(DirectUpload(self._home.begin_upload(name, new=True)), data)
        return str(name)

    @told
    def begin_put(self, path: str, *, offset: int | None = None, append: bool = False) -> OpenUpload:
        return DirectUpload(self._home.begin_upload(where(path), offset=offset, append=append))

    def get(self, path: str, offset: int = 0) -> bytes:
        return self.begin_get(path, offset).rest()

    @told
    def begin_get(self, path: str, offset: int = 0) -> OpenDownload:
        return DirectDownload(self._home.begin_download(where(path), offset))

    @told
    def resume_size(self, path: str) -> int:
        return self._home.resume_size(where(path))

    @told
    def list(self, path: str) -> list[str]:
        with self._home.list(where(path)) as entries:
            return [entry.name for entry in entries]

    @told
    def stat(self, path: str) -> Facts:
        entry = self._home.stat(where(path))
        return Facts(entry.kind is EntryKind.DIRECTORY, entry.size, entry.mtime_ns // 10**9)

    @told
    def mkdir(self, path: str) -> None:
        self._home.make_directory(where(path))

    @told
    def rmdir(self, path: str) -> None:
        self._home.remove_directory(where(path))

    @told
    def remove(self, path: str) -> None:
        self._home.remove_file(where(path))

    @told
    def rename(self, source: str, target: str) -> None:
        self._home.rename(where(source), where(target))

    @told
    def copy(self, source: str, target: str) -> None:
        self._home.copy(where(source), where(target))

    @told
    def set_mtime(self, path: str, mtime_s: int) -> None:
        self._home.set_modified(where(path), mtime_s * 10**9)

    @told
    def set_mode(self, path: str, mode: int) -> None:
        self._home.set_mode(where(path), mode)

    @told
    def digest(self, path: str) -> str:
        return self._home.digest(where(path))

    @told
    def reserve(self, size: int) -> None:
        self._home.reserve(size)

    def close(self) -> None:
        self._home.close()

    @staticmethod
    def _store(upload: OpenUpload, data: bytes) -> None:
        if data:
            upload.send(data)
        upload.finish()


def where(path: str) -> VirtualPath:
    """The path as a server makes it from what its peer says."""
    return ROOT.join(path)
