"""What carries the chat's messages: a session of sealed datagrams, or, where UDP is blocked, requests of HPTP.

The one rule: a carrier never blocks the event loop, and its end is told once, with the reason.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from homeport.client.errors import ClientError, ProtocolViolation, ServerRefused
from homeport.client.hptp.remote import HptpRemote
from homeport.protocols.chat import talk
from homeport.protocols.chat.frames import MAX_BYTES, SESSION_BYTES
from homeport.protocols.chat.sealing import crypto_of
from homeport.protocols.chat.session import Options, Session
from homeport.protocols.hptp.strict_json import JsonObject

# Ten pings go unanswered before it gives up: all are lost once in a thousand times where 30 % is lost each way.
OPTIONS = Options(keeps_alive_s=10.0, gives_up_s=20.0)
_AT_ONCE = 64
_SERVER = "server"
_KEY_BYTES = 32
_SPOKEN_LATER = 1000  # requests that wait for a thread


@dataclass(frozen=True, slots=True)
class Grant:
    """What chat.key gives: where the server's UDP service is, a session's name, and its two keys."""

    port: int
    name: bytes
    client: bytes = field(repr=False)
    server: bytes = field(repr=False)

    @classmethod
    def of(cls, told: JsonObject) -> Grant:
        """Raises ProtocolViolation."""
        port = told.get("port")
        parts = [_bytes(told.get(part)) for part in ("name", "client", "server")]
        if not isinstance(port, int) or [len(part) for part in parts] != [SESSION_BYTES, _KEY_BYTES, _KEY_BYTES]:
            raise ProtocolViolation("the server gives no key for its chat")
        return cls(port, *parts)


class Carrier(Protocol):
    """Made on the event loop, for its thread alone. `ended` is set when it is over."""

    ended: asyncio.Future[str]

    def send(self, message: bytes) -> None:
        """Carry a message to the server."""
        ...

    def close(self) -> None:
        """End it. Works twice."""
        ...


class UdpCarrier:
    """Datagrams to the server at `host`. `received` gets its messages."""

    def __init__(self, grant: Grant, host: str, received: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._received = received
        self._socket = _connected(host, grant.port)
        self.session = Session(
            grant.name,
            crypto_of(grant.client, grant.server, secrets.token_bytes),
            OPTIONS,
            self._loop.time(),
            peer=_SERVER,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._flush_planned = False
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def send(self, message: bytes) -> None:
        """See Carrier."""
        self.session.send(message)
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """See Carrier."""
        if not self.ended.done():
            self.session.close("done")
            self._flush()

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                datagram = self._socket.recv(MAX_BYTES + 1)
            except BlockingIOError:
                break
            except OSError:
                continue  # nobody listens there, says the network; it may be wrong
            self.session.receive(datagram, _SERVER, self._loop.time())
        for message in self.session.messages():
            self._received(message)
        self._flush()

    def _flush(self) -> None:
        self._flush_planned = False
        if self.ended.done():
            return
        for datagram, _ in self.session.take_output(self._loop.time()):
            try:
                self._socket.send(datagram)
            except OSError:
                break  # it is sent again
        if self._timer is not None:
            self._timer.cancel()
        if self.session.closed is not None:
            self._end(self.session.closed)
        else:
            self._timer = self._loop.call_at(self.session.deadline(), self._flush)

    def _end(self, reason: str) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self.ended.set_result(reason)


class HptpCarrier:
    """The same messages as requests of HPTP: one thread listens, one asks. It owns `remote`."""

    def __init__(self, remote: HptpRemote, received: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._remote = remote
        self._received = received
        self._waiting: asyncio.Queue[talk.Request] = asyncio.Queue(_SPOKEN_LATER)
        self._asking = self._loop.create_task(self._ask_all())

    def send(self, message: bytes) -> None:
        """See Carrier."""
        request = talk.read_request(message)
        if request.op == "start":
            threading.Thread(target=self._listen, args=[request], daemon=True, name="chat").start()
        else:
            try:
                self._waiting.put_nowait(request)
            except asyncio.QueueFull:
                self._received(talk.refusal(request.number, "busy", "too much waits to be sent already"))

    def close(self) -> None:
        """See Carrier."""
        self._asking.cancel()
        self._remote.close()
        self._end("done")

    async def _ask_all(self) -> None:
        while True:
            request = await self._waiting.get()
            said: JsonObject = {"op": request.op, **request.arguments}
            try:
                result = await asyncio.to_thread(self._remote.ask, "chat", "chat.do", do=said)
                self._received(talk.answer(request.number, result))
            except ServerRefused as refused:
                self._received(talk.refusal(request.number, "refused", str(refused)))
            except ClientError as error:
                self._end(str(error))
                return

    def _listen(self, start: talk.Request) -> None:
        """In a thread of its own, until the connection ends."""
        reason = "the connection was closed"
        try:
            items = self._remote.items("chat", "chat.listen", after=start.arguments.get("after"))
            for number, item in enumerate(items):
                message = talk.answer(start.number, item) if number == 0 else talk.push(str(item.pop("push", "")), item)
                self._tell(self._received, message)
        except ClientError as error:
            reason = str(error)
        self._tell(self._end, reason)

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return  # the loop is closed: nobody listens any more

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


def _connected(host: str, port: int) -> socket.socket:
    """A socket for the server's address. Raises OSError."""
    problem: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            made.connect(address)
        except OSError as error:
            made.close()
            problem = error
        else:
            return made
    raise problem or OSError(f"{host} has no address")


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except binascii.Error:
        return b""
