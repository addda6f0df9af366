"""What a client asks of an HPTP server, as coroutines over one link: see `client.flow.Flow`.

The one rule: nothing here waits where it need not. A file's header, bytes and end go out back to back, whatever else is
under way.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable, Mapping

from homeport.client.errors import ConnectionFailed, ProtocolViolation, RemoteNotFound
from homeport.client.flow import Sending
from homeport.client.hptp.entries import SHA256, entry_of, name_of, seconds, sha256_of, whole
from homeport.client.hptp.exchange import Exchange
from homeport.client.hptp.link import Link
from homeport.client.remote import Abilities, Digest, RemoteEntry, Space, Told
from homeport.client.walking import Walked
from homeport.protocols.hptp import names
from homeport.protocols.hptp.events import DataReceived, ItemsReceived, ResultReceived
from homeport.protocols.hptp.strict_json import Json, JsonObject, nearest

_NOT_WANTED = "no longer wanted"


class HptpFlow:
    """One user of a link; what it asked fails together when it is interrupted."""

    def __init__(self, link: Link, abilities: Abilities) -> None:
        self.abilities = abilities
        self.link = link

    async def ask(self, doing: str, op: str, **arguments: Json) -> JsonObject:
        """A request that is answered by a RESULT alone."""
        return await (await self._request(doing, op, arguments)).result()

    async def items(self, doing: str, op: str, **arguments: Json) -> AsyncIterator[JsonObject]:
        """The items of a request that is answered by them."""
        exchange = await self._request(doing, op, arguments)
        try:
            while (some := await _items_of(exchange)) is not None:
                for item in some:
                    yield item
        except GeneratorExit:
            self.link.cancel(exchange, _NOT_WANTED)
            raise

    async def entries(self, path: str) -> AsyncIterator[RemoteEntry]:
        """What is in a folder; names that could not be files are left out."""
        async for item in self.items(f"list {path}", "list", path=names.to_wire(path)):
            entry = entry_of(item)
            if _could_be_a_name(entry.name):
                yield entry

    async def list(self, path: str, most: int) -> tuple[RemoteEntry, ...]:
        found: builtins.list[RemoteEntry] = []
        async for entry in self.entries(path):
            found.append(entry)
            if len(found) >= most:
                break
        return tuple(found)

    async def walk(self, path: str) -> AsyncIterator[builtins.list[Walked]]:
        """Everything below `path`, as many at a time as the server tells: a step for each would cost more than it."""
        doing = f"list {path} with all below it"
        exchange = await self._request(doing, "walk", {"path": names.to_wire(path)})
        try:
            while (some := await _items_of(exchange)) is not None:
                yield [_walked(item) for item in some]
        except (GeneratorExit, ProtocolViolation):
            self.link.cancel(exchange, _NOT_WANTED)
            raise

    async def make_directories(self, paths: Iterable[str]) -> None:
        """Each with all above it; all are under way together."""
        for asked in [await self._ask_for_folder(path) for path in paths]:
            await asked.result()

    async def make_and_walk(self, path: str) -> builtins.list[Walked]:
        """What is below `path`, which is made where it is missing."""
        made = await self._ask_for_folder(path)
        try:
            found = [walked async for some in self.walk(path) for walked in some]
        except RemoteNotFound:
            found = []
        await made.result()
        return found

    async def _ask_for_folder(self, path: str) -> Exchange:
        doing = f"make the folder {path}"
        return await self._request(doing, "mkdir", {"path": names.to_wire(path), "parents": True})

    async def stat(self, path: str) -> RemoteEntry:
        found = await self.ask(f"look at {path}", "stat", path=names.to_wire(path))
        return entry_of(found, path.rstrip("/").rpartition("/")[2] or "/")

    async def partial_size(self, path: str) -> int:
        offset, _ = await self.partial(path)
        return offset

    async def partial(self, path: str) -> tuple[int, str | None]:
        """How much the server holds of an unfinished upload of `path`, and the digest of that."""
        exchange = await self._request(f"go on with {path}", "put", {"path": names.to_wire(path), "resume": True})
        try:
            head = await exchange.head()
        except RemoteNotFound:
            return 0, None
        finally:
            self.link.cancel(exchange, _NOT_WANTED)
        digest = sha256_of(head.get("prefix_sha256"))
        return whole(head.get("offset")) or 0, digest.value if digest else None

    async def open_reader(self, path: str, offset: int, digest: str | None) -> HptpReader:  # noqa: ARG002 - always told
        wanted: dict[str, Json] = {"path": names.to_wire(path)}
        if offset:
            wanted["offset"] = offset
        return HptpReader(self.link, await self._request(f"fetch {path}", "get", wanted))

    async def open_writer(self, path: str, sending: Sending) -> HptpWriter:
        modified = None if sending.mtime_ns is None else nearest(sending.mtime_ns)
        facts = (
            ("size", sending.size),
            ("mtime_ns", modified),
            ("offset", sending.offset or None),
            ("resume", True if sending.offset else None),  # what came, not a file that is as long
        )
        wanted: dict[str, Json] = {"path": names.to_wire(path)} | {
            name: fact for name, fact in facts if fact is not None
        }
        return HptpWriter(self.link, await self._request(f"store {path}", "put", wanted), sending.size)

    async def make_directory(self, path: str) -> None:
        await self.ask(f"make the folder {path}", "mkdir", path=names.to_wire(path))

    async def move(self, source: str, target: str) -> None:
        doing = f"move {source} to {target}"
        await self.ask(doing, "move", source=names.to_wire(source), target=names.to_wire(target))

    async def remove_file(self, path: str) -> None:
        await self.ask(f"remove {path}", "remove", path=names.to_wire(path), kind="file")

    async def remove_directory(self, path: str) -> None:
        await self.ask(f"remove {path}", "remove", path=names.to_wire(path), kind="directory")

    async def set_mtime(self, path: str, mtime: float, told: Told) -> None:
        await self.set_mtime_now(path, mtime)
        told(None)

    async def set_mtime_now(self, path: str, mtime: float) -> None:
        moment = nearest(round(mtime * 1_000_000_000))
        await self.ask(f"set the time of {path}", "set_times", path=names.to_wire(path), mtime_ns=moment)

    async def digest(self, path: str, algorithm: str, end: int | None = None) -> Digest:
        if end is not None and algorithm == SHA256:
            offset, prefix = await self.partial(path)
            if offset == end and prefix is not None:
                return Digest(SHA256, prefix)
        wanted: dict[str, Json] = {"path": names.to_wire(path), "algorithm": algorithm}
        if end is not None:
            wanted["end"] = end
        told = await self.ask(f"take the digest of {path}", "digest", **wanted)
        value = told.get("value")
        if not isinstance(value, str):
            raise ProtocolViolation(f"the server tells no digest of {path}")
        return Digest(algorithm, value.lower())

    async def space(self) -> Space:
        usage = await self.ask("ask for the room", "usage")
        return Space(
            free_bytes=whole(usage.get("free_bytes")),
            used_bytes=whole(usage.get("used_bytes")),
            quota_bytes=whole(usage.get("quota_bytes")),
        )

    def interrupt(self) -> None:
        """From any thread: what this one has asked fails now."""
        self.link.fail_of(self, ConnectionFailed("interrupted"))

    async def _request(self, doing: str, op: str, arguments: Mapping[str, Json]) -> Exchange:
        return await self.link.request(self, doing, op, arguments)


async def _items_of(exchange: Exchange) -> list[JsonObject] | None:
    """The next items of an answer; None at its end."""
    arrival = await exchange.next()
    if isinstance(arrival, ItemsReceived):
        return arrival.items
    if not isinstance(arrival, ResultReceived):
        raise exchange.nonsense(arrival)
    return None


def _walked(item: JsonObject) -> Walked:
    segments = tuple(name_of(item.get("path")).split("/"))
    error = item.get("error")
    if isinstance(error, dict):
        return Walked(segments, None, str(error.get("message")))
    return Walked(segments, entry_of(item, segments[-1]))


def _could_be_a_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


class HptpReader:
    """A download: HEAD, bytes, RESULT."""

    def __init__(self, link: Link, exchange: Exchange) -> None:
        self._link = link
        self._exchange = exchange
        self._head: JsonObject | None = None
        self._result: JsonObject | None = None
        self._lent = 0

    async def head(self) -> tuple[int | None, float | None]:
        """Size and time of the whole file."""
        if self._head is None:
            self._head = await self._exchange.head()
        return whole(self._head.get("size")), seconds(self._head.get("mtime_ns"))

    async def read(self) -> memoryview:
        """The next bytes, good until the next call."""
        if self._head is None:
            await self.head()
        if self._lent:
            self._link.consumed(self._exchange, self._lent)
            self._lent = 0
        if self._result is not None:
            return memoryview(b"")
        arrival = await self._exchange.next()
        if isinstance(arrival, DataReceived):
            self._lent = len(arrival.data)
            return arrival.data
        if not isinstance(arrival, ResultReceived):
            raise self._exchange.nonsense(arrival)
        self._result = arrival.result
        return memoryview(b"")

    async def finish(self) -> Digest | None:
        """After the end: the whole file's digest, where the server has told it before or behind the bytes."""
        while await self.read():
            pass
        assert self._head is not None
        assert self._result is not None
        return sha256_of(self._head.get("sha256")) or sha256_of(self._result.get("sha256"))

    def abort(self) -> None:
        self._link.cancel(self._exchange, _NOT_WANTED)


class HptpWriter:
    """An upload: bytes, END, and the server's answer."""

    def __init__(self, link: Link, exchange: Exchange, size: int | None) -> None:
        self._link = link
        self._exchange = exchange
        self._size = size

    async def write(self, data: memoryview) -> None:
        """Send all of `data`, which must not change. Raises the server's no when it comes early."""
        await self._link.send(self._exchange, data)
        if self._exchange.peek() is not None:
            await self._exchange.result()
            raise self._exchange.nonsense(None)

    async def finish(self, ours: Digest | None) -> Digest:
        trailer: dict[str, Json] = {} if self._size is None else {"size": self._size}
        if ours is not None and ours.algorithm == SHA256:
            trailer["sha256"] = ours.value
        self._link.end(self._exchange, trailer)
        stored = sha256_of((await self._exchange.result()).get("sha256"))
        if stored is None:
            raise ProtocolViolation(f"cannot {self._exchange.doing}: the server does not say what it has stored")
        return stored

    def abort(self) -> None:
        self._link.cancel(self._exchange, _NOT_WANTED)
