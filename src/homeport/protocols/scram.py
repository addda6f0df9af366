"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): its four messages, and the client's side of the proof.

The one rule: nothing is believed before the last message. A server that asks for fewer rounds than it should, or that
cannot sign, gets no further word; what is read is refused unless it has exactly one reading.

    client = ScramClient("alice", nonce, Binding("tls-server-end-point", digest))
    send(client.first()); final = client.answer(receive(), keys_of); send(final); client.verify(receive())
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

MIN_ITERATIONS = 4096  # RFC 7677 section 4
MAX_ITERATIONS = 10_000_000  # some seconds: more would be an attack on the client
_MAX_MESSAGE = 4096  # characters
_PRINTABLE = r"[\x21-\x2b\x2d-\x7e]+"
_BASE64 = "[A-Za-z0-9+/]+={0,2}"
_EXTENSIONS = r"(?:,[A-Za-ln-z]=[^,\0]+)*"  # `m` is kept for extensions that must be understood: none is

_CLIENT_FIRST = re.compile(rf"((?:n|y|p=([A-Za-z0-9.-]+)),,)(n=([^,\0]+),r=({_PRINTABLE}){_EXTENSIONS})")
_SERVER_FIRST = re.compile(rf"r=({_PRINTABLE}),s=({_BASE64}),i=([1-9][0-9]{{0,9}}){_EXTENSIONS}")
_CLIENT_FINAL = re.compile(rf"(c=({_BASE64}),r=({_PRINTABLE}){_EXTENSIONS}),p=({_BASE64})")
_SERVER_FINAL = re.compile(rf"(?:e=([^,\0]+)|v=({_BASE64})){_EXTENSIONS}")
_BAD_ESCAPE = re.compile("=(?!2C|3D)")


class ScramMalformed(ValueError):
    """A message that is none, or that does not fit those before it."""


class ScramRefused(Exception):
    """The other side has not proved itself, or asks for what is not safe; `str()` says what."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The channel that the proof is bound to: RFC 5056 type and data."""

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """`gs2` is the header with its commas, `bare` the rest; `binding` the type of channel binding, None without."""

    gs2: str
    bare: str
    user: str
    nonce: str
    binding: str | None

    @classmethod
    def read(cls, text: str) -> ClientFirst:
        """The client's first message; an authorization identity is refused. Raises ScramMalformed."""
        found = _match(_CLIENT_FIRST, text, "client-first")
        if _BAD_ESCAPE.search(found[4]):
            raise ScramMalformed("a user name with an escape that SCRAM has not")
        user = found[4].replace("=2C", ",").replace("=3D", "=")
        return cls(found[1], found[3], user, found[5], found[2])

    def __str__(self) -> str:
        return self.gs2 + self.bare


@dataclass(frozen=True, slots=True)
class ServerFirst:
    """`nonce` is the client's with the server's behind it."""

    nonce: str
    salt: bytes
    iterations: int
    text: str

    @classmethod
    def make(cls, nonce: str, salt: bytes, iterations: int) -> ServerFirst:
        return cls(nonce, salt, iterations, f"r={nonce},s={b64encode(salt).decode()},i={iterations}")

    @classmethod
    def read(cls, text: str) -> ServerFirst:
        """Raises ScramMalformed."""
        found = _match(_SERVER_FIRST, text, "server-first")
        return cls(found[1], _from_base64(found[2]), int(found[3]), text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """`channel` is the GS2 header with the binding's data behind it; `without_proof` what the proof covers."""

    channel: bytes
    nonce: str
    proof: bytes
    without_proof: str

    @classmethod
    def read(cls, text: str) -> ClientFinal:
        """Raises ScramMalformed."""
        found = _match(_CLIENT_FINAL, text, "client-final")
        return cls(_from_base64(found[2]), found[3], _from_base64(found[4]), found[1])

    def answers(self, first: ClientFirst, server: ServerFirst, binding: bytes) -> bool:
        """Whether it belongs to this exchange on the channel with this binding data (b"" without one)."""
        return self.nonce == server.nonce and hmac.compare_digest(self.channel, first.gs2.encode() + binding)


@dataclass(frozen=True, slots=True)
class ServerFinal:
    """The server's signature, or the error that it names instead."""

    signature: bytes = b""
    error: str = ""

    @classmethod
    def read(cls, text: str) -> ServerFinal:
        """Raises ScramMalformed."""
        found = _match(_SERVER_FINAL, text, "server-final")
        return cls(error=found[1]) if found[1] else cls(_from_base64(found[2]))

    def __str__(self) -> str:
        return f"e={self.error}" if self.error else f"v={b64encode(self.signature).decode()}"


def auth_message(first: ClientFirst, server: ServerFirst, without_proof: str) -> bytes:
    """What proof and signature are computed over (RFC 5802 section 3)."""
    return f"{first.bare},{server.text},{without_proof}".encode()


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client keeps in place of a password, for one salt and count of rounds: as good as the password there."""

    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, secret: bytes, salt: bytes, iterations: int) -> ClientKeys:
        """From a prepared password; takes about 0.2 s for 600,000 rounds."""
        salted = hashlib.pbkdf2_hmac("sha256", secret, salt, iterations)
        return cls(hmac.digest(salted, b"Client Key", "sha256"), hmac.digest(salted, b"Server Key", "sha256"))

    def proof(self, message: bytes) -> bytes:
        """ClientProof over an `auth_message`."""
        signature = hmac.digest(hashlib.sha256(self.client_key).digest(), message, "sha256")
        return bytes(a ^ b for a, b in zip(self.client_key, signature, strict=True))

    def signature(self, message: bytes) -> bytes:
        """What the server must answer."""
        return hmac.digest(self.server_key, message, "sha256")


class ScramClient:
    """One exchange. `nonce` is fresh, printable and without commas; without `binding` it is plain SCRAM-SHA-256."""

    def __init__(self, user: str, nonce: str, binding: Binding | None = None) -> None:
        escaped = user.replace("=", "=3D").replace(",", "=2C")
        gs2 = f"p={binding.kind},," if binding else "n,,"
        self._first = ClientFirst.read(f"{gs2}n={escaped},r={nonce}")
        self._channel = self._first.gs2.encode() + (binding.data if binding else b"")
        self._signature = b""

    def first(self) -> str:
        """The message to begin with."""
        return str(self._first)

    def answer(self, text: str, keys: Callable[[bytes, int], ClientKeys], least_iterations: int) -> str:
        """The client's last message to server-first `text`; `keys` computes them from salt and rounds.

        Raises ScramMalformed, and ScramRefused when fewer than `least_iterations` or absurdly many are asked for: no
        proof leaves then.
        """
        server = ServerFirst.read(text)
        if not server.nonce.startswith(self._first.nonce) or server.nonce == self._first.nonce:
            raise ScramRefused("the server's answer does not belong to this login")
        if not max(least_iterations, MIN_ITERATIONS) <= server.iterations <= MAX_ITERATIONS:
            raise ScramRefused(f"the server asks for {server.iterations} rounds of hashing, which is not safe")
        without_proof = f"c={b64encode(self._channel).decode()},r={server.nonce}"
        message = auth_message(self._first, server, without_proof)
        derived = keys(server.salt, server.iterations)
        self._signature = derived.signature(message)
        return f"{without_proof},p={b64encode(derived.proof(message)).decode()}"

    def verify(self, text: str) -> None:
        """The server's last message. Raises ScramMalformed, ScramRefused unless it shows that it knows the verifier."""
        final = ServerFinal.read(text)
        if final.error:
            raise ScramRefused(f"the server refuses: {final.error}")
        if not self._signature or not hmac.compare_digest(final.signature, self._signature):
            raise ScramRefused("the server does not know the password's verifier: it is not who it says it is")


def _match(form: re.Pattern[str], text: str, name: str) -> re.Match[str]:
    found = form.fullmatch(text) if len(text) <= _MAX_MESSAGE else None
    if found is None:
        raise ScramMalformed(f"no {name} message")
    return found


def _from_base64(text: str) -> bytes:
    try:
        decoded = b64decode(text, validate=True)
    except binascii.Error as error:
        raise ScramMalformed("base64 that is none") from error
    if b64encode(decoded).decode() != text:
        raise ScramMalformed("base64 with bits that mean nothing")
    return decoded
