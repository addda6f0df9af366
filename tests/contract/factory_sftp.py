"""The behaviours through a real SSH server on loopback, spoken to by asyncssh's SFTP client.

A status stands for several kinds of refusal; its text, which is the core's own sentence, says which one. What SFTP
itself cannot say (an upload that goes on inside a file, an announced size, a reservation) is said through Homeport's
own extensions; names that nobody has are found by opening them exclusively, as any client does.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import asyncssh
from tests.contract.house import House
from tests.contract.subject import Connect, Facts, Kind, OpenDownload, OpenUpload, Refused
from tests.servers.ssh.running_ssh import RunningSsh, serving_ssh

from homeport.core.paths import ROOT
from homeport.protocols.sftp.constants import Type
from homeport.protocols.sftp.requests import UPLOAD_APPENDS, UPLOAD_HAS_SIZE

SETTLE_S = 5.0
REGULAR, FOLDER = 1, 2  # asyncssh's FILEXFER_TYPE_REGULAR and _DIRECTORY

SENTENCES = {
    "no such file or folder": Kind.NOT_FOUND,
    "exists already": Kind.EXISTS,
    "not a folder": Kind.NOT_A_DIRECTORY,
    "is a folder": Kind.IS_A_DIRECTORY,
    "the folder is not empty": Kind.NOT_EMPTY,
    "not a regular file": Kind.NOT_A_FILE,
    "a link leads out of the home": Kind.OUTSIDE,
    "the home itself cannot be changed": Kind.ROOT,
    "this account has no right to": Kind.DENIED,
    "another upload of this file is under way": Kind.BUSY,
    "cannot restart at byte": Kind.PAST_END,
    "bytes were announced": Kind.WRONG_SIZE,
    "was announced": Kind.WRONG_DIGEST,
    "was cut while it was being sent": Kind.CHANGED,
    "quota exceeded": Kind.QUOTA,
    "disk is full": Kind.FULL,
    "disk failed": Kind.FAILED,
}
P = ParamSpec("P")
T = TypeVar("T")


def told(deed: Callable[P, T]) -> Callable[P, T]:
    """Failed requests come out as the contract's refusals."""

    @wraps(deed)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return deed(*args, **kwargs)
        except asyncssh.SFTPError as error:
            kinds = {kind for sentence, kind in SENTENCES.items() if sentence in error.reason}
            raise Refused(frozenset(kinds or {Kind.INVALID}), error.reason) from error

    return wrapped


@contextmanager
def serve(house: House) -> Iterator[Connect]:
    """A server in a thread of its own; every client is a connection to it."""
    with serving_ssh(house) as server:
        try:
            yield partial(SftpClient, house, server)
        finally:
            house.close_clients()


def raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


class SftpClient:
    """One connection with one SFTP session."""

    def __init__(self, house: House, server: RunningSsh, account: str, password: str) -> None:
        self._house = house
        self._server = server
        self._account, self._password = account, password
        self._account_id = house.accounts.get(account).id
        self._open_session()

    def _open_session(self) -> None:
        self._connection = self._server.connected(self._account, self._password)
        self.sftp: Any = self.wait(self._connection.start_sftp_client())

    def wait(self, coroutine: Awaitable[T]) -> T:
        return self._server.clients.wait(coroutine)

    def ask(self, name: str, *fields: bytes) -> Any:
        """An extension's request: asyncssh's client has no public way to those it does not know."""

        async def asked() -> Any:
            handler = self.sftp._handler
            waiter = asyncio.get_running_loop().create_future()
            handler._send_request(name.encode(), fields, waiter)
            kind, answer = await waiter
            if kind == Type.STATUS:
                return handler._process_status(answer)
            return answer.get_string() if kind == Type.HANDLE else answer

        return self.wait(asked())

    def put(self, path: str, data: bytes) -> None:
        self._store(self.begin_put(path), data)

    def put_from(self, path: str, offset: int, data: bytes) -> None:
        self._store(self.begin_put(path, offset=offset), data)

    def append(self, path: str, data: bytes) -> None:
        self._store(self.begin_put(path, append=True), data)

    @told
    def put_announced(self, path: str, data: bytes, *, size: int | None = None, sha256: str | None = None) -> None:
        flags = 0 if size is None else UPLOAD_HAS_SIZE
        self._store(self._begin(path, flags, 0, size or 0, sha256 or ""), data)

    @told
    def put_unique(self, path: str, data: bytes) -> str:
        for number in itertools.count():
            name = f"{path}.{number}" if number else path
            try:
                handle = self.wait(self.sftp._handler.open(raw(name), 0x2A, asyncssh.SFTPAttrs()))
            except asyncssh.SFTPError as error:
                if "exists already" not in error.reason or number > 20:
                    raise
            else:
                self._store(SftpUpload(self, name, handle, 0), data)
                return name
        raise AssertionError("unreachable")

    @told
    def begin_put(self, path: str, *, offset: int | None = None, append: bool = False) -> OpenUpload:
        if offset:
            return self._begin(path, 0, offset, 0, "")
        # WRITE and CREATE, and either APPEND or TRUNCATE
        handle = self.wait(self.sftp._handler.open(raw(path), 0x0E if append else 0x1A, asyncssh.SFTPAttrs()))
        return SftpUpload(self, path, handle, 0)

    def _begin(self, path: str, flags: int, offset: int, size: int, sha256: str) -> SftpUpload:
        assert not flags & UPLOAD_APPENDS
        numbers = struct.pack(">IQQ", flags, offset, size)
        handle = self.ask("upload@homeport", string(raw(path)), numbers, string(sha256.encode()))
        return SftpUpload(self, path, handle, offset)

    def staged(self, path: str) -> int | None:
        return self._house.services.stages.size_of(self._account_id, ROOT.join(path))

    def get(self, path: str, offset: int = 0) -> bytes:
        return self.begin_get(path, offset).rest()

    @told
    def begin_get(self, path: str, offset: int = 0) -> OpenDownload:
        handle = self.wait(self.sftp._handler.open(raw(path), 1, asyncssh.SFTPAttrs()))
        size = self.wait(self.sftp._handler.fstat(handle, 0)).size
        if offset > size:  # as a client finds out who goes on with a download
            self.wait(self.sftp._handler.close(handle))
            raise Refused(frozenset({Kind.PAST_END}), "behind the end")
        return SftpDownload(self, handle, offset)

    @told
    def resume_size(self, path: str) -> int:
        found = self.wait(self.sftp.stat(raw(path)))
        if found.type == FOLDER:
            raise Refused(frozenset({Kind.IS_A_DIRECTORY}), "a folder")
        if found.type != REGULAR:
            raise Refused(frozenset({Kind.NOT_A_FILE}), "no file")
        return int(found.size)

    @told
    def list(self, path: str) -> list[str]:
        names = [name.decode("utf-8", "surrogateescape") for name in self.wait(self.sftp.listdir(raw(path)))]
        return [name for name in names if name not in (".", "..")]

    @told
    def stat(self, path: str) -> Facts:
        self.wait(self.sftp.lstat(raw(path)))  # which shows no unfinished upload
        found = self.wait(self.sftp.stat(raw(path)))
        return Facts(found.type == FOLDER, found.size or 0, found.mtime)

    @told
    def mkdir(self, path: str) -> None:
        self.wait(self.sftp.mkdir(raw(path)))

    @told
    def rmdir(self, path: str) -> None:
        self.wait(self.sftp.rmdir(raw(path)))

    @told
    def remove(self, path: str) -> None:
        self.wait(self.sftp.remove(raw(path)))

    @told
    def rename(self, source: str, target: str) -> None:
        self.wait(self.sftp.posix_rename(raw(source), raw(target)))

    @told
    def copy(self, source: str, target: str) -> None:
        handler = self.sftp._handler
        old = self.wait(handler.open(raw(source), 1, asyncssh.SFTPAttrs()))
        try:
            new = self.wait(handler.open(raw(target), 0x1A, asyncssh.SFTPAttrs()))
            try:
                self.ask("copy-data", string(old), struct.pack(">QQ", 0, 0), string(new), struct.pack(">Q", 0))
            except asyncssh.SFTPError:
                with suppress(asyncssh.SFTPError):
                    self.wait(handler.close(new))
                raise
            self.wait(handler.close(new))
        finally:
            self.wait(handler.close(old))

    @told
    def set_mtime(self, path: str, mtime_s: int) -> None:
        self.wait(self.sftp.utime(raw(path), (mtime_s, mtime_s)))

    @told
    def set_mode(self, path: str, mode: int) -> None:
        self.wait(self.sftp.chmod(raw(path), mode))

    @told
    def digest(self, path: str) -> str:
        fields = string(raw(path)), string(b"sha256"), struct.pack(">QQI", 0, 0, 0)
        answer = self.ask("check-file-name", *fields)
        assert answer.get_string() == b"check-file"
        assert answer.get_string() == b"sha256"
        return bytes(answer.get_remaining_payload()).hex()

    @told
    def reserve(self, size: int) -> None:
        self.ask("reserve@homeport", struct.pack(">Q", size))

    def cut(self) -> None:
        """Lose the connection, and make a new one when the server has noticed."""
        before = len(self._server.sessions)
        self.wait(self._ended(self._connection.abort))
        give_up_at = time.monotonic() + SETTLE_S
        while len(self._server.sessions) >= before and time.monotonic() < give_up_at:
            time.sleep(0.002)
        self._open_session()

    def close(self) -> None:
        before = len(self._server.sessions)
        if self._connection.is_closed():
            return
        self.wait(self._ended(self._connection.close))
        give_up_at = time.monotonic() + SETTLE_S
        while len(self._server.sessions) >= before and time.monotonic() < give_up_at:
            time.sleep(0.002)

    async def _ended(self, end: Callable[[], None]) -> None:
        end()  # in the loop's own thread, as asyncio's debug mode insists
        await self._connection.wait_closed()

    @staticmethod
    def _store(upload: OpenUpload, data: bytes) -> None:
        if data:
            upload.send(data)
        upload.finish()


class SftpUpload:
    """A handle that carries a file up."""

    def __init__(self, client: SftpClient, path: str, handle: bytes, offset: int) -> None:
        self._client = client
        self._path = path
        self._handle = handle
        self._offset = offset

    @told
    def send(self, data: bytes) -> None:
        for start in range(0, len(data), 32_768):
            piece = data[start : start + 32_768]
            try:
                self._client.wait(self._client.sftp._handler.write(self._handle, self._offset, piece))
            except asyncssh.SFTPError:
                with suppress(asyncssh.SFTPError):  # as clients do; it must not put the file in place
                    self._client.wait(self._client.sftp._handler.close(self._handle))
                raise
            self._offset += len(piece)

    @told
    def finish(self) -> None:
        self._client.wait(self._client.sftp._handler.close(self._handle))

    def cut(self) -> None:
        self._client.cut()


class SftpDownload:
    """A handle that carries a file down."""

    def __init__(self, client: SftpClient, handle: bytes, offset: int) -> None:
        self._client = client
        self._handle = handle
        self._offset = offset

    @told
    def receive(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part, _ = self._client.wait(
                    self._client.sftp._handler.read(self._handle, self._offset, min(size, 65_536))
                )
            except asyncssh.SFTPEOFError:
                break
            parts.append(part)
            self._offset += len(part)
            size -= len(part)
        return b"".join(parts)

    @told
    def rest(self) -> bytes:
        parts = []
        while part := self.receive(1 << 20):
            parts.append(part)
        self._client.wait(self._client.sftp._handler.close(self._handle))
        return b"".join(parts)

    def cut(self) -> None:
        self._client.cut()
