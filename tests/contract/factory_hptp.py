"""The behaviours through a real HPTP server on loopback, spoken to by the engine itself."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from tests.contract.house import House
from tests.contract.subject import Connect, Facts, Kind, OpenDownload, OpenUpload, Refused
from tests.servers.hptp.client import Failed, Gone, HptpClient, Stream
from tests.servers.hptp.serving import Running, serving

from homeport.core.paths import ROOT
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.names import from_wire, to_wire
from homeport.protocols.hptp.strict_json import Json

SETTLE_S = 2.0
SLOW = Limits(software="test", stream_window=64 * 1024, connection_window=64 * 1024)

KINDS = {
    "not-found": Kind.NOT_FOUND,
    "already-exists": Kind.EXISTS,
    "not-a-directory": Kind.NOT_A_DIRECTORY,
    "is-a-directory": Kind.IS_A_DIRECTORY,
    "directory-not-empty": Kind.NOT_EMPTY,
    "not-a-regular-file": Kind.NOT_A_FILE,
    "outside-home": Kind.OUTSIDE,
    "root-refused": Kind.ROOT,
    "invalid-path": Kind.INVALID,
    "request-malformed": Kind.INVALID,
    "right-missing": Kind.DENIED,
    "busy": Kind.BUSY,
    "offset-past-end": Kind.PAST_END,
    "size-mismatch": Kind.WRONG_SIZE,
    "digest-mismatch": Kind.WRONG_DIGEST,
    "source-changed": Kind.CHANGED,
    "quota-exceeded": Kind.QUOTA,
    "storage-full": Kind.FULL,
    "storage-failed": Kind.FAILED,
}
P = ParamSpec("P")
T = TypeVar("T")


def told(deed: Callable[P, T]) -> Callable[P, T]:
    """ERROR frames come out as the contract's refusals."""

    @wraps(deed)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return deed(*args, **kwargs)
        except Failed as error:
            raise Refused(frozenset({KINDS[error.code]}), error.message) from error

    return wrapped


@contextmanager
def serve(house: House) -> Iterator[Connect]:
    """A server in a thread of its own; every client is a connection to it."""
    with serving(house) as server:
        try:
            yield partial(Client, house, server)
        finally:
            house.close_clients()


class Client:
    """One connection for everything, and one more for each transfer that is watched or cut."""

    def __init__(self, house: House, server: Running, account: str, password: str) -> None:
        self._house = house
        self._server = server
        self._account = account
        self._password = password
        self._client = self._connected()
        self._others: list[HptpClient] = []

    def _connected(self, limits: Limits | None = None, *, automatic: bool = True) -> HptpClient:
        client = HptpClient(self._server.address, limits=limits, automatic=automatic)
        try:
            client.log_in(self._account, self._password)
        except BaseException:
            client.close()
            raise
        return client

    def _other(self, limits: Limits | None = None, *, automatic: bool = True) -> HptpClient:
        self._others.append(self._connected(limits, automatic=automatic))
        return self._others[-1]

    @told
    def put(self, path: str, data: bytes) -> None:
        self._client.put(wire(path), data)

    @told
    def put_from(self, path: str, offset: int, data: bytes) -> None:
        self._store(path, data, offset=offset)

    @told
    def append(self, path: str, data: bytes) -> None:
        self._store(path, data, append=True)

    @told
    def put_announced(self, path: str, data: bytes, *, size: int | None = None, sha256: str | None = None) -> None:
        size = len(data) if size is None else size
        self._store(path, data, size=size, sha256=sha256 or hashlib.sha256(data).hexdigest())

    @told
    def put_unique(self, path: str, data: bytes) -> str:
        return from_wire(self._client.put(wire(path), data, unique=True)["path"])

    @told
    def begin_put(self, path: str, *, offset: int | None = None, append: bool = False) -> OpenUpload:
        before = len(self._server.core.sessions)
        client = self._other()
        how = {"offset": offset} if offset else {"append": append}
        stream = client.open("put", path=wire(path), **how)
        client.flush()
        account, name = self._house.accounts.get(self._account), ROOT.join(path)
        staged = partial(self._house.services.stages.size_of, account.id, name)
        return Sent(client, stream, staged, lambda: len(self._server.core.sessions) == before)

    @told
    def get(self, path: str, offset: int = 0) -> bytes:
        return self._client.get(wire(path), offset=offset)

    @told
    def begin_get(self, path: str, offset: int = 0) -> OpenDownload:
        client = self._other(SLOW, automatic=False)
        stream = client.open("get", path=wire(path), offset=offset)
        return Received(client, stream)

    @told
    def resume_size(self, path: str) -> int:
        return number(self._client.ask("resume_size", path=wire(path))["size"])

    @told
    def list(self, path: str) -> list[str]:
        items = self._client.finish(self._client.open("list", path=wire(path))).items
        return [from_wire(item["name"]) for item in items]

    @told
    def stat(self, path: str) -> Facts:
        found = self._client.ask("stat", path=wire(path))
        return Facts(found["kind"] == "directory", number(found["size"]), number(found["mtime_ns"]) // 10**9)

    @told
    def mkdir(self, path: str) -> None:
        self._client.ask("mkdir", path=wire(path))

    @told
    def rmdir(self, path: str) -> None:
        self._client.ask("remove", path=wire(path), kind="directory")

    @told
    def remove(self, path: str) -> None:
        self._client.ask("remove", path=wire(path), kind="file")

    @told
    def rename(self, source: str, target: str) -> None:
        self._client.ask("move", source=wire(source), target=wire(target))

    @told
    def copy(self, source: str, target: str) -> None:
        self._client.ask("copy", source=wire(source), target=wire(target))

    @told
    def set_mtime(self, path: str, mtime_s: int) -> None:
        self._client.ask("set_times", path=wire(path), mtime_ns=mtime_s * 10**9)

    @told
    def set_mode(self, path: str, mode: int) -> None:
        self._client.ask("set_mode", path=wire(path), mode=mode)

    @told
    def digest(self, path: str) -> str:
        return str(self._client.ask("digest", path=wire(path))["value"])

    @told
    def reserve(self, size: int) -> None:
        self._client.ask("reserve", size=size)

    def close(self) -> None:
        for client in (*self._others, self._client):
            client.close()

    def _store(self, path: str, data: bytes, **arguments: object) -> None:
        """As a client that does not know the whole: END says nothing."""
        stream = self._client.open("put", path=wire(path), **arguments)
        self._client.send_body(stream, data)
        if self._client.engine.is_open(stream):
            self._client.engine.send_end(stream, {})
        self._client.finish(stream)


class Sent:
    """A file on its way up. `staged` tells how much of it the server's disk has, `gone` whether its session ended."""

    def __init__(
        self, client: HptpClient, stream: int, staged: Callable[[], int | None], gone: Callable[[], bool]
    ) -> None:
        self._client = client
        self._stream = stream
        self._staged = staged
        self._gone = gone
        self._wanted: int | None = None

    @told
    def send(self, data: bytes) -> None:
        if self._wanted is None:
            self._wanted = self._begun()
        self._wanted += len(data)
        self._client.send_body(self._stream, data)
        # An upload that gave its room to an older one hears of it with its next bytes: it is not waited for.
        give_up_at = time.monotonic() + SETTLE_S
        while self._staged() != self._wanted and time.monotonic() < give_up_at:
            if not self._client.engine.is_open(self._stream) or self._answered():
                self._client.finish(self._stream)
                raise AssertionError("the upload ended well before its end")

    @told
    def finish(self) -> None:
        self._client.engine.send_end(self._stream, {})
        self._client.finish(self._stream)

    def cut(self) -> None:
        self._begun()
        self._client.cut()
        give_up_at = time.monotonic() + SETTLE_S
        while not self._gone():
            assert time.monotonic() < give_up_at, "the server has not noticed"
            time.sleep(0.001)

    def _begun(self) -> int:
        """How much was there when it began, which a later request's answer proves that it has."""
        give_up_at = time.monotonic() + SETTLE_S
        while (staged := self._staged()) is None and time.monotonic() < give_up_at and not self._answered():
            pass
        return staged or 0

    def _answered(self) -> bool:
        """Whether the upload's answer has come; costs a round trip."""
        with suppress(Gone):
            self._client.ask("ping")
        found = self._client.streams.get(self._stream)
        return found is not None and found.over


class Received:
    """A file on its way down, taken no faster than it is asked for."""

    def __init__(self, client: HptpClient, stream: int) -> None:
        self._client = client
        self._stream = stream
        self._taken = bytearray()
        client.wait(lambda: self._known(lambda: self._found.head is not None or self._found.over))
        if self._found.failure is not None:
            raise self._found.failure

    @property
    def _found(self) -> Stream:
        return self._client.streams[self._stream]

    def _known(self, condition: Callable[[], bool]) -> bool:
        return self._stream in self._client.streams and condition()

    def receive(self, size: int) -> bytes:
        self._take(lambda: len(self._taken) >= size)
        taken = bytes(self._taken[:size])
        del self._taken[:size]
        return taken

    @told
    def rest(self) -> bytes:
        self._take(lambda: False)
        self._found.result()
        return bytes(self._taken)

    def cut(self) -> None:
        self._client.cut()

    def _take(self, enough: Callable[[], bool]) -> None:
        while not enough():
            data, self._found.data = self._found.data, []
            for piece in data:
                self._taken += piece
                self._client.engine.consumed(self._stream, len(piece))
            self._client.flush()
            if enough() or (self._found.over and not self._found.data):
                return
            if not data:
                self._client.wait(lambda: self._found.data or self._found.over)


def wire(path: str) -> Json:
    """The path as docs/hptp.md has it: names that are no UTF-8 in base64."""
    return to_wire(path)


def number(value: object) -> int:
    assert isinstance(value, int)
    return value
