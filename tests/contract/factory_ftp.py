"""The behaviours through a real FTP server on loopback, spoken to by ftplib.

A reply's code stands for several kinds of refusal; its text, which is the core's own sentence, says which one.
"""

from __future__ import annotations

import ftplib
import hashlib
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from tests.contract.house import House
from tests.contract.subject import Connect, Facts, Kind, OpenDownload, OpenUpload, Refused
from tests.servers.running import SETTINGS, RunningServer, serving

from homeport.core.paths import ROOT

PATIENCE_S = 60.0
SETTLE_S = 2.0
ABORTIVE = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, as a lost connection ends

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
}
CODES = {
    "452": Kind.FULL,
    "500": Kind.INVALID,
    "501": Kind.INVALID,
    "550": Kind.NOT_FOUND,
    "552": Kind.QUOTA,
    "553": Kind.INVALID,
    "554": Kind.PAST_END,
}
P = ParamSpec("P")
T = TypeVar("T")


def told(deed: Callable[P, T]) -> Callable[P, T]:
    """Replies of 4xx and 5xx come out as the contract's refusals."""

    @wraps(deed)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return deed(*args, **kwargs)
        except (ftplib.error_temp, ftplib.error_perm) as error:
            text = str(error)
            kinds = {kind for sentence, kind in SENTENCES.items() if sentence in text}
            raise Refused(frozenset(kinds or {CODES.get(text[:3], Kind.FAILED)}), text) from error

    return wrapped


@contextmanager
def serve(house: House) -> Iterator[Connect]:
    """A server in a thread of its own; every client is a connection to it."""
    with serving(house, replace(SETTINGS, tls="off", implicit_port=None)) as server:
        try:
            yield partial(FtpClient, house, server)
        finally:
            house.close_clients()


class Connection(ftplib.FTP):
    """ftplib's, for names of any bytes."""

    def putline(self, line: str) -> None:
        self.sock.sendall(line.encode("utf-8", "surrogateescape") + b"\r\n")  # type: ignore[union-attr]

    def open_replies(self) -> None:
        """Read replies as names come: ftplib's own reader takes clean UTF-8 alone."""
        assert self.sock
        self.file = self.sock.makefile("r", encoding="utf-8", errors="surrogateescape", newline="\n")


class FtpClient:
    """One control connection."""

    def __init__(self, house: House, server: RunningServer, account: str, password: str) -> None:
        self._house = house
        self._account_id = house.accounts.get(account).id
        self._ftp = Connection(timeout=PATIENCE_S, encoding="utf-8")
        self._ftp.connect(server.host, server.port)
        self._ftp.open_replies()
        self._ftp.login(account, password)
        self._ftp.voidcmd("TYPE I")
        self._ftp.sendcmd("OPTS UTF8 ON")

    def put(self, path: str, data: bytes) -> None:
        self._store(self.begin_put(path), data)

    def put_from(self, path: str, offset: int, data: bytes) -> None:
        self._store(self.begin_put(path, offset=offset), data)

    def append(self, path: str, data: bytes) -> None:
        self._store(self.begin_put(path, append=True), data)

    @told
    def put_announced(self, path: str, data: bytes, *, size: int | None = None, sha256: str | None = None) -> None:
        size = len(data) if size is None else size
        self._ftp.sendcmd(f"SITE EXPECT {size} {sha256 or hashlib.sha256(data).hexdigest()}")
        self.put(path, data)

    @told
    def put_unique(self, path: str, data: bytes) -> str:
        connection, reply = self._open(f"STOU {path}")
        connection.sendall(data)
        FtpUpload(self._ftp, connection, lambda: None).finish()
        return reply.partition("FILE: ")[2]

    @told
    def begin_put(self, path: str, *, offset: int | None = None, append: bool = False) -> OpenUpload:
        connection, _ = self._open(f"{'APPE' if append else 'STOR'} {path}", offset or 0)
        name = ROOT.join(path)
        return FtpUpload(self._ftp, connection, lambda: self._house.services.stages.size_of(self._account_id, name))

    def get(self, path: str, offset: int = 0) -> bytes:
        return self.begin_get(path, offset).rest()

    @told
    def begin_get(self, path: str, offset: int = 0) -> OpenDownload:
        return FtpDownload(self._ftp, self._open(f"RETR {path}", offset)[0])

    @told
    def resume_size(self, path: str) -> int:
        return int(self._ftp.sendcmd(f"SIZE {path}")[4:])

    @told
    def list(self, path: str) -> list[str]:
        connection, _ = self._open(f"MLSD {path}")
        text = FtpDownload(self._ftp, connection).rest().decode("utf-8", "surrogateescape")
        lines = [line.partition(" ") for line in text.split("\r\n")[:-1]]
        return [name for facts, _, name in lines if "type=cdir;" not in facts and "type=pdir;" not in facts]

    @told
    def stat(self, path: str) -> Facts:
        line = self._ftp.sendcmd(f"MLST {path}").split("\n")[1].strip().lower()
        facts = dict(fact.split("=", 1) for fact in line.partition(" ")[0].split(";") if fact)
        modified = datetime.strptime(facts["modify"][:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return Facts(facts["type"] in ("dir", "cdir"), int(facts.get("size", "0")), int(modified.timestamp()))

    @told
    def mkdir(self, path: str) -> None:
        self._ftp.voidcmd(f"MKD {path}")

    @told
    def rmdir(self, path: str) -> None:
        self._ftp.voidcmd(f"RMD {path}")

    @told
    def remove(self, path: str) -> None:
        self._ftp.voidcmd(f"DELE {path}")

    @told
    def rename(self, source: str, target: str) -> None:
        self._ftp.rename(source, target)

    @told
    def copy(self, source: str, target: str) -> None:
        self._ftp.sendcmd(f"SITE CPFR {source}")
        self._ftp.voidcmd(f"SITE CPTO {target}")

    @told
    def set_mtime(self, path: str, mtime_s: int) -> None:
        self._ftp.voidcmd(f"MFMT {datetime.fromtimestamp(mtime_s, UTC):%Y%m%d%H%M%S} {path}")

    @told
    def set_mode(self, path: str, mode: int) -> None:
        self._ftp.voidcmd(f"SITE CHMOD {mode:o} {path}")

    @told
    def digest(self, path: str) -> str:
        return self._ftp.sendcmd(f"HASH {path}").split(" ")[3]

    @told
    def reserve(self, size: int) -> None:
        self._ftp.voidcmd(f"ALLO {size}")

    def close(self) -> None:
        if self._ftp.sock:
            with suppress(OSError, EOFError, ftplib.Error):
                self._ftp.quit()
            self._ftp.close()

    def _open(self, command: str, offset: int = 0) -> tuple[socket.socket, str]:
        """A data connection for `command`, and the reply that announced the transfer."""
        connection = socket.create_connection(self._ftp.makepasv(), PATIENCE_S)
        try:
            if offset:
                self._ftp.sendcmd(f"REST {offset}")
            reply = self._ftp.sendcmd(command)
        except BaseException:
            connection.close()
            raise
        assert reply.startswith("1"), reply
        return connection, reply

    @staticmethod
    def _store(upload: OpenUpload, data: bytes) -> None:
        if data:
            upload.send(data)
        upload.finish()


class FtpUpload:
    """A data connection that carries a file up. `staged` tells how much of the file the server's disk has."""

    def __init__(self, ftp: ftplib.FTP, connection: socket.socket, staged: Callable[[], int | None]) -> None:
        self._ftp = ftp
        self._connection = connection
        self._staged = staged
        self._wanted = staged() or 0

    @told
    def send(self, data: bytes) -> None:
        self._wanted += len(data)
        with suppress(ConnectionError):  # the server has refused: its reply says why
            self._connection.sendall(data)
        # An upload that gave its room to an older one hears of it with its next bytes: it is not waited for.
        give_up_at = time.monotonic() + SETTLE_S
        assert self._ftp.sock
        while self._staged() != self._wanted:
            if select.select([self._ftp.sock], [], [], 0.002)[0]:
                self._connection.close()
                self._ftp.voidresp()
                raise AssertionError("the upload ended well before its end")
            if time.monotonic() > give_up_at:
                return

    @told
    def finish(self) -> None:
        self._connection.close()
        self._ftp.voidresp()

    def cut(self) -> None:
        reset(self._connection)
        with suppress(ftplib.error_temp):
            self._ftp.voidresp()
            raise AssertionError("a cut upload was reported as success")


class FtpDownload:
    """A data connection that carries a file down."""

    def __init__(self, ftp: ftplib.FTP, connection: socket.socket) -> None:
        self._ftp = ftp
        self._connection = connection

    def receive(self, size: int) -> bytes:
        parts = []
        while size and (part := self._connection.recv(min(size, 65536))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    @told
    def rest(self) -> bytes:
        parts = []
        with suppress(ConnectionError):
            while part := self._connection.recv(262_144):
                parts.append(part)
        self._connection.close()
        self._ftp.voidresp()
        return b"".join(parts)

    def cut(self) -> None:
        reset(self._connection)
        with suppress(ftplib.error_temp):
            self._ftp.voidresp()


def reset(connection: socket.socket) -> None:
    """Close as a connection that is lost."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
    connection.close()
