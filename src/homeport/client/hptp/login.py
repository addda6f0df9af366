"""The way in: TCP, TLS 1.3, and a proof on both sides that neither has to take from anybody else.

The one rule: nobody vouches for the server's certificate and nobody need compare a fingerprint, because the proof is
bound to the certificate: whoever relays it has another one, and fails. Nothing but the proof leaves before the
server has answered it rightly; then, and only then, is its key remembered.
"""

from __future__ import annotations

import secrets
import ssl
import threading
from dataclasses import dataclass, field

from homeport.client import tls
from homeport.client.errors import (
    ConnectionFailed,
    IdentityChanged,
    ProtocolViolation,
    UsageError,
)
from homeport.client.fingerprint import fingerprint_of
from homeport.client.hptp import head_start
from homeport.client.hptp.refusals import refusal
from homeport.client.hptp.securing import reach
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.trust import Trust
from homeport.client.url import RemoteUrl
from homeport.protocols import channel_binding
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import AuthReceived, Broken, GoingAway
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.states import Role
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.protocols.scram import Binding, ClientKeys, ScramClient, ScramMalformed, ScramRefused
from homeport.protocols.secret_text import prepared

MECHANISM = "SCRAM-SHA-256-PLUS"
PASSWORD_ITERATIONS = 600_000  # a man in the middle who asks for fewer could guess faster: no proof goes to him
TOKEN_ITERATIONS = 4096  # a token cannot be guessed
_TOKEN_MARK = "\x01token"  # noqa: S105 - no password begins with a control character
_RECEIVE_BYTES = 16 * 1024
_NONCE_BYTES = 18
_PING_BYTES = 10 * 1024
_PINGS = (1, 2, 2)  # in the proof's round trips and in the first request's: TCP doubles its window in each

LIMITS = Limits(
    software="homeport client", stream_window=16 * 1024 * 1024, connection_window=64 * 1024 * 1024, max_streams=0
)


@dataclass(frozen=True, slots=True)
class Token:
    """A device token, which stands in for the password."""

    id: str
    secret: str = field(repr=False)

    def kept(self) -> str:
        """As it is kept where passwords are kept."""
        return f"{_TOKEN_MARK} {self.id} {self.secret}"

    @classmethod
    def of(cls, kept: str) -> Token | None:
        """The token that was kept, or None for a password."""
        parts = kept.split(" ")
        return cls(parts[1], parts[2]) if len(parts) == 3 and parts[0] == _TOKEN_MARK else None


class _Keys:
    """What was derived from passwords, so that the second connection of a process need not compute for 0.2 s."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[bytes, bytes, int], ClientKeys] = {}

    def derive(self, secret: bytes, salt: bytes, iterations: int) -> ClientKeys:
        with self._lock:
            key = (secret, salt, iterations)
            if key not in self._known:
                self._known[key] = ClientKeys.derive(secret, salt, iterations)
            return self._known[key]


_KEYS = _Keys()


@dataclass(frozen=True, slots=True)
class Arrived:
    """Where a login leads: both sides have proved themselves."""

    socket: ssl.SSLSocket
    connection: Connection
    account: JsonObject


def enter(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> Arrived:
    """Connect and log in. Raises ConnectionFailed, Incompatible, IdentityChanged, LoginFailed, ProtocolViolation."""
    secured = _secure(url, options)
    try:
        certificate = secured.getpeercert(binary_form=True) or b""
        shown = fingerprint_of(certificate)
        if trust.pinned is not None and trust.pinned != shown:
            raise IdentityChanged(
                f"{url.server} shows another key than the one that was given.\n"
                f"  given: {trust.pinned}\n  shown: {shown}",
                trust.pinned,
                shown,
            )
        login = _Login(secured, credentials, certificate, much=options.much)
        account = login.run()
        if trust.known.fingerprint_of(url.server) != shown:
            trust.known.remember(url.server, shown)
    except OSError as failure:
        secured.close()
        raise ConnectionFailed(f"{url.host}: the login was cut off: {tls.reason(failure)}") from failure
    except BaseException:
        secured.close()
        raise
    return Arrived(secured, login.connection, account)


def _secure(url: RemoteUrl, options: ConnectionOptions) -> ssl.SSLSocket:
    """TLS with the server, begun before where there is something."""
    timeout_s = options.connect_timeout_s
    return head_start.take(url.host, url.port, timeout_s) or reach(url.host, url.port, timeout_s)


class _Login:
    """The dialogue until both sides have proved themselves, on a socket that still blocks."""

    def __init__(self, secured: ssl.SSLSocket, credentials: Credentials, certificate: bytes, *, much: bool) -> None:
        self._pings = list(_PINGS) if much else []
        self.connection = Connection(Role.CLIENT, LIMITS)
        self._socket = secured
        self._credentials = credentials
        try:
            binding = channel_binding.server_end_point(certificate)
        except ValueError as failure:
            raise ProtocolViolation(f"the server shows no certificate that can be read: {failure}") from failure
        self._binding = Binding(channel_binding.TYPE, binding)

    def run(self) -> JsonObject:
        """The account, as the server describes it."""
        token = Token.of(self._credentials.password)
        secret = self._secret(token)
        try:
            client = ScramClient(self._credentials.user, secrets.token_urlsafe(_NONCE_BYTES), self._binding)
            opening: JsonObject = {"mechanism": MECHANISM, "message": client.first()}
            if token is not None:
                opening["token"] = token.id
            challenge = _text(self._ask(opening), token)
            least = PASSWORD_ITERATIONS if token is None else TOKEN_ITERATIONS
            answer = client.answer(challenge, lambda salt, rounds: _KEYS.derive(secret, salt, rounds), least)
            final = self._ask({"message": answer})
            client.verify(_text(final, token))
        except (ScramMalformed, ScramRefused) as failure:
            raise ProtocolViolation(f"the server did not prove itself: {failure}. Nothing was sent to it") from failure
        self.connection.authenticated()
        self._open_windows()
        account = final.get("account")
        return account if isinstance(account, dict) else {}

    def _secret(self, token: Token | None) -> bytes:
        try:
            return prepared(token.secret if token else self._credentials.password)
        except ValueError as failure:
            raise UsageError(f"no such password can be: {failure}") from failure

    def _open_windows(self) -> None:
        """Make use of a round trip in which there is nothing to say: see docs/hptp.md, PING."""
        for _ in range(self._pings.pop(0) if self._pings else 0):
            self.connection.ping(bytes(_PING_BYTES))

    def _ask(self, message: JsonObject) -> JsonObject:
        self.connection.send_auth(message)
        self._open_windows()
        self._socket.sendall(b"".join(self.connection.take_output()))
        while True:
            received = self._socket.recv(_RECEIVE_BYTES)
            if not received:
                raise ConnectionFailed("the server closed the connection during the login")
            self.connection.receive(received)
            for event in self.connection.events():
                if isinstance(event, AuthReceived):
                    return event.message
                _object_to(event)


def _object_to(event: object) -> None:
    if isinstance(event, Broken):
        raise ProtocolViolation(f"the server breaks the protocol: {event.text}")
    if isinstance(event, GoingAway):
        raise ConnectionFailed(f"the server does not serve now: {event.message}")


def _text(answer: JsonObject, token: Token | None) -> str:
    """The message of an AUTH. Raises what its error means; of a `token` that is refused, also what to do."""
    error = answer.get("error")
    if isinstance(error, dict):
        doing = "log in" if token is None else "log in with the token that `homeport login` has kept"
        raise refusal(str(error.get("code")), str(error.get("message")), doing)
    message = answer.get("message")
    if not isinstance(message, str):
        raise ProtocolViolation("the server answers the login with nothing that can be read")
    return message
