"""A client of the chat for programs: it comes in, stays in, and gives what is said as an asynchronous iterator.

    async with ChatClient(dial, "fileserver") as chat:
        await chat.join("lobby")
        async for event in chat:
            ...

The one rule: whatever happens to the network or the server, every message comes once and in order, and what was said
is said once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Self

from homeport.client.chat.carriers import Carrier, Grant, HptpCarrier, UdpCarrier
from homeport.client.chat.core import BadServer, ChatCore, Event, Refusal, Said, said_of
from homeport.client.errors import (
    ClientError,
    ConnectionFailed,
    IdentityChanged,
    IdentityUnknown,
    Incompatible,
    LoginFailed,
    PermissionRefused,
    RemoteNotFound,
    ServerRefused,
)
from homeport.client.hptp.remote import HptpRemote
from homeport.protocols.hptp.strict_json import Json, JsonObject

_UDP_PATIENCE_S = 4.0  # then HPTP carries it
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_FINAL = (LoginFailed, IdentityChanged, IdentityUnknown, Incompatible)  # trying again would change nothing
_KINDS: dict[str, type[ServerRefused]] = {"room-not-found": RemoteNotFound, "chat-right-missing": PermissionRefused}


@dataclass(frozen=True, slots=True)
class Connected:
    """The chat is there; `carrier` is udp or hptp."""

    carrier: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """It is not, for now; it is tried again."""

    reason: str


News = Event | Connected | Disconnected


class ChatClient:
    """`dial` gives a logged-in connection of HPTP, and blocks; it is called again for every new session.

    `udp` False: never try UDP. All methods but the constructor are for the event loop's thread.
    """

    def __init__(self, dial: Callable[[], HptpRemote], host: str, *, udp: bool = True) -> None:
        self.core = ChatCore()
        self._dial = dial
        self._host = host
        self._udp = udp
        self._carrier: Carrier | None = None
        self._news: asyncio.Queue[News | None] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None
        self._failure: ClientError | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Come in. Raises ClientError."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._run(ready))
        await ready

    async def close(self) -> None:
        """Leave. Works twice."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        self._news.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[News]:
        """What happens, until the client is closed. Raises ClientError when there is no way back in."""
        while (news := await self._news.get()) is not None:
            yield news
        if self._failure is not None:
            raise self._failure

    @property
    def account(self) -> str:
        """Our own name."""
        return self.core.account or ""

    async def join(self, room: str, *, make: bool = False) -> JsonObject:
        """Listen to a room, made if `make` and there is none. Raises ServerRefused, and subclasses of it."""
        answered = self._future()
        self.core.join(room, self._settle(answered, f"join {room}"), make=make)
        return await answered

    async def leave(self, room: str) -> None:
        """Listen to it no more. Raises ServerRefused."""
        answered = self._future()
        self.core.leave(room, self._settle(answered, f"leave {room}"))
        await answered

    async def say(self, room: str, text: str, *, kind: str = "say") -> int:
        """Say something in a room, or to @NAME; its number there. Raises ServerRefused."""
        answered = self._future()
        self.core.say(room, text, self._settle(answered, f"talk in {room}"), kind)
        number = (await answered).get("id")
        return number if isinstance(number, int) else 0

    async def rooms(self) -> list[JsonObject]:
        """The rooms that there are: objects with room, last_id, read_id, member."""
        return _objects(await self._ask("list the rooms", "rooms"), "rooms")

    async def who(self, room: str | None = None) -> list[JsonObject]:
        """Who is in a room, or who is here at all: objects with name, here. Raises ServerRefused."""
        return _objects(await self._ask("ask who is there", "who", room=room), "members")

    async def history(self, room: str, *, before: int | None = None, limit: int = 50) -> list[Said]:
        """The last messages of a room before a number. Raises ServerRefused."""
        told = await self._ask(f"read {room}", "history", room=room, before=before, limit=limit)
        return [said_of(message) for message in _objects(told, "messages")]

    async def mark_read(self, room: str, number: int) -> None:
        """We have read so far. Raises ServerRefused."""
        await self._ask(f"read {room}", "read", room=room, id=number)

    async def _ask(self, doing: str, op: str, **arguments: Json) -> JsonObject:
        answered = self._future()
        self.core.ask(op, arguments, self._settle(answered, doing))
        return await answered

    @staticmethod
    def _future() -> asyncio.Future[JsonObject]:
        return asyncio.get_running_loop().create_future()

    @staticmethod
    def _settle(answered: asyncio.Future[JsonObject], doing: str) -> Callable[[JsonObject | Refusal], None]:
        def settle(result: JsonObject | Refusal) -> None:
            if answered.done():
                return
            if isinstance(result, Refusal):
                kind = _KINDS.get(result.code, ServerRefused)
                answered.set_exception(kind(f"cannot {doing}: {result.message}", 0, result.message))
            else:
                answered.set_result(result)

        return settle

    # Connections

    async def _run(self, ready: asyncio.Future[None]) -> None:
        pause = _FIRST_PAUSE_S
        try:
            while True:
                try:
                    reason = await self._one_session(ready)
                    pause = _FIRST_PAUSE_S
                except ClientError as error:
                    if not ready.done():
                        ready.set_exception(error)
                        return
                    if isinstance(error, _FINAL):
                        self._failure = error
                        return
                    reason = str(error)
                self._news.put_nowait(Disconnected(reason))
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE_S, pause * 2)
        finally:
            if self._carrier is not None:
                self._carrier.close()
            self.core.send = None
            self._news.put_nowait(None)

    async def _one_session(self, ready: asyncio.Future[None]) -> str:
        """Come in and stay until the session is over; the reason. Raises ClientError."""
        remote = await asyncio.to_thread(self._dial)
        try:
            grant = Grant.of(await asyncio.to_thread(remote.ask, "chat", "chat.key")) if self._udp else None
            name, carrier = "udp", None if grant is None else await self._try_udp(grant)
        except BaseException:
            remote.close()
            raise
        if carrier is None:
            name, carrier = "hptp", HptpCarrier(remote, self._received)
            if not await self._begin(carrier):
                raise ConnectionFailed("the chat does not answer")
        else:
            remote.close()
        self._news.put_nowait(Connected(name))
        if not ready.done():
            ready.set_result(None)
        try:
            return await asyncio.shield(carrier.ended)  # a cancelled wait must not pass for an end
        finally:
            self.core.send = None
            carrier.close()

    async def _try_udp(self, grant: Grant) -> Carrier | None:
        try:
            carrier = UdpCarrier(grant, self._host, self._received)
        except OSError:
            return None
        return carrier if await self._begin(carrier) else None

    async def _begin(self, carrier: Carrier) -> bool:
        """Whether the server answers over this carrier, which is closed where it does not. Raises its refusal."""
        self._carrier = carrier
        started = self._future()
        self.core.send = carrier.send
        self.core.begin(self._settle(started, "come in"))
        either: list[asyncio.Future[Any]] = [started, carrier.ended]
        await asyncio.wait(either, timeout=_UDP_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if started.done() and started.exception() is None:
            return True
        self.core.send = None
        carrier.close()
        if started.done():
            started.result()
        started.cancel()
        return False

    def _received(self, message: bytes) -> None:
        try:
            self.core.receive(message)
        except BadServer as error:
            self._news.put_nowait(Disconnected(f"the server makes no sense: {error}"))
            if self._carrier is not None:
                self._carrier.close()
        for event in self.core.take_events():
            self._news.put_nowait(event)


def _objects(told: JsonObject, name: str) -> list[JsonObject]:
    value = told.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
