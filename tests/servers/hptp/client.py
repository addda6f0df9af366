"""A blocking HPTP client for tests: the engine on a TLS socket, and nothing clever.

It trusts whatever certificate it gets and binds its proof to it, as a first contact does; a test that wants to
misbehave reaches for `engine`, `send` and `socket`.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from homeport.protocols.channel_binding import TYPE, server_end_point
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import (
    AuthReceived,
    Broken,
    DataReceived,
    ErrorReceived,
    Event,
    GoingAway,
    HeadReceived,
    ItemsReceived,
    ResultReceived,
)
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.states import Role
from homeport.protocols.hptp.strict_json import Json, JsonObject
from homeport.protocols.scram import Binding, ClientKeys, ScramClient

PATIENCE_S = 60.0
LEAST_ITERATIONS = 4096
ALPN = "hptp/1"


class Failed(Exception):
    """The server answered ERROR."""

    def __init__(self, code: str, message: str, details: JsonObject) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details


class Gone(Exception):
    """The connection is over; the text is what the server's GOAWAY said, if anything."""


@dataclass
class Stream:
    """What came on one stream so far."""

    head: JsonObject | None = None
    items: list[JsonObject] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    answer: JsonObject | None = None
    failure: Failed | None = None

    @property
    def over(self) -> bool:
        return self.answer is not None or self.failure is not None

    @property
    def body(self) -> bytes:
        return b"".join(self.data)

    def result(self) -> JsonObject:
        if self.failure is not None:
            raise self.failure
        assert self.answer is not None
        return self.answer


def context() -> ssl.SSLContext:
    """A client's context that takes every certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols([ALPN])
    return made


class HptpClient:
    """One connection. `automatic` gives credit back as bytes come."""

    def __init__(
        self,
        address: tuple[str, int] | str,
        *,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        automatic: bool = True,
    ) -> None:
        plain = self._connected(address)
        plain.settimeout(PATIENCE_S)
        try:
            self.socket = (tls or context()).wrap_socket(plain, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise
        self.engine = Connection(Role.CLIENT, limits or Limits(software="test"))
        self.automatic = automatic
        self.streams: dict[int, Stream] = {}
        self.auth: list[JsonObject] = []
        self.goodbye: GoingAway | None = None
        self.others: list[Event] = []

    def __enter__(self) -> HptpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def _connected(address: tuple[str, int] | str) -> socket.socket:
        if isinstance(address, str):
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(PATIENCE_S)
            made.connect(address)
            return made
        connection = socket.create_connection(address, PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.socket.unwrap()
        self.socket.close()

    def cut(self) -> None:
        """End as a lost connection does: no close_notify."""
        self.socket.close()

    # Bytes

    def flush(self) -> None:
        """Send what the engine has to say. Raises Gone."""
        try:
            for buffer in self.engine.take_output():
                self.socket.sendall(buffer)
        except (OSError, ssl.SSLError) as error:
            self.hear_all()
            raise Gone(self._farewell(str(error))) from error

    def send(self, raw: bytes) -> None:
        """Send bytes past the engine."""
        self.flush()
        self.socket.sendall(raw)

    def hear(self) -> bool:
        """Wait for something from the server; False when it has closed."""
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            data = b""
        if not data:
            self.engine.receive_eof()
        else:
            self.engine.receive(data)
        for event in self.engine.events():
            self._note(event)
        self.flush()
        return bool(data)

    def hear_all(self) -> None:
        """Everything until the server closes."""
        with contextlib.suppress(OSError, Gone):
            while self.hear():
                pass

    def wait(self, condition: Callable[[], object]) -> None:
        """Hear until `condition` holds. Raises Gone when the server closes before."""
        self.flush()
        while not condition():
            if (not self.hear() or self.engine.closed) and not condition():
                raise Gone(self._farewell("the server closed the connection"))

    def _farewell(self, otherwise: str) -> str:
        return otherwise if self.goodbye is None else f"{self.goodbye.code}: {self.goodbye.message}"

    def _note(self, event: Event) -> None:
        match event:
            case AuthReceived(message):
                self.auth.append(message)
            case HeadReceived(stream, head):
                self._of(stream).head = head
            case ItemsReceived(stream, items):
                self._of(stream).items += items
            case DataReceived(stream, data):
                self._of(stream).data.append(bytes(data))
                if self.automatic:
                    self.engine.consumed(stream, len(data))
            case ResultReceived(stream, result):
                self._of(stream).answer = result
            case ErrorReceived(stream, code, message, details):
                self._of(stream).failure = Failed(code, message, details)
            case GoingAway():
                self.goodbye = event
            case Broken():
                self.others.append(event)
            case _:
                self.others.append(event)

    def _of(self, stream: int) -> Stream:
        return self.streams.setdefault(stream, Stream())

    # The login

    @property
    def certificate(self) -> bytes:
        found = self.socket.getpeercert(binary_form=True)
        assert found
        return found

    def prover(self, name: str, binding: Binding | None = None) -> ScramClient:
        return ScramClient(
            name, secrets.token_urlsafe(18), binding or Binding(TYPE, server_end_point(self.certificate))
        )

    def prove(self, message: str, **members: Any) -> JsonObject:
        """Send one AUTH message; the server's answer."""
        said = len(self.auth)
        self.engine.send_auth({"message": message, **members})
        self.wait(lambda: len(self.auth) > said)
        answer = self.auth[-1]
        error = answer.get("error")
        if isinstance(error, dict):
            raise Failed(str(error["code"]), str(error["message"]), {})
        return answer

    def log_in(self, name: str, secret: str, *, token: str | None = None) -> JsonObject:
        """The whole login; the server's word on the account. Raises Failed, Gone."""
        scram = self.prover(name)
        extra = {} if token is None else {"token": token}
        first = self.prove(scram.first(), mechanism="SCRAM-SHA-256-PLUS", **extra)
        final = scram.answer(str(first["message"]), derive(secret), LEAST_ITERATIONS)
        last = self.prove(final)
        scram.verify(str(last["message"]))
        self.engine.authenticated()
        account = last["account"]
        assert isinstance(account, dict)
        return account

    # Requests

    def open(self, op: str, **arguments: Any) -> int:
        """Send a request, without waiting for its answer, nor for anything else unless too many are under way."""
        if not self.engine.can_open:
            self.wait(lambda: self.engine.can_open)
        return self.engine.open(op, arguments)

    def finish(self, stream: int) -> Stream:
        """Wait for a request's answer. Raises Failed, Gone."""
        self.wait(lambda: self._of(stream).over)
        found = self.streams.pop(stream)
        found.result()
        return found

    def ask(self, op: str, **arguments: Any) -> JsonObject:
        return self.finish(self.open(op, **arguments)).result()

    def send_body(self, stream: int, data: bytes) -> None:
        """DATA, as credit allows. Stops when the server has answered already."""
        view = memoryview(data)
        while view and self.engine.is_open(stream) and not self._of(stream).over:
            credit = self.engine.credit(stream)
            if not credit:
                self.wait(lambda: self.engine.credit(stream) or not self.engine.is_open(stream))
                continue
            self.engine.send_data(stream, view[:credit])
            self.flush()
            view = view[credit:]

    def begin_put(self, path: Json, data: bytes, **arguments: Any) -> int:
        """REQUEST, DATA and END back to back."""
        stream = self.open("put", path=path, **arguments)
        self.send_body(stream, data)
        if self.engine.is_open(stream):
            self.engine.send_end(stream, {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        return stream

    def put(self, path: Json, data: bytes, **arguments: Any) -> JsonObject:
        return self.finish(self.begin_put(path, data, size=len(data), **arguments)).result()

    def get(self, path: Json, **arguments: Any) -> bytes:
        return self.finish(self.open("get", path=path, **arguments)).body


def derive(secret: str) -> Callable[[bytes, int], ClientKeys]:
    return lambda salt, iterations: ClientKeys.derive(secret.encode(), salt, iterations)


@contextlib.contextmanager
def logged_in(address: tuple[str, int] | str, name: str, secret: str, **options: Any) -> Iterator[HptpClient]:
    with HptpClient(address, **options) as client:
        client.log_in(name, secret)
        yield client
