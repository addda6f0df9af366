"""The server's half of SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), bound to the certificate of this very connection.

The one rule: only the bound mechanism is offered, so that a client which says that it could not bind, or that the
server could not, is refused: somebody between the two may have told it so.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

from homeport.core.errors import LoginRefused
from homeport.core.proof_login import Challenge, Proved
from homeport.protocols.channel_binding import TYPE
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.protocols.scram import ClientFinal, ClientFirst, ScramMalformed, ServerFinal, ServerFirst, auth_message
from homeport.servers.hptp.errors import Refused
from homeport.servers.hptp.front import Front

M = TypeVar("M")

MECHANISM = "SCRAM-SHA-256-PLUS"
AUTH_MALFORMED = "auth-malformed"
_NONCE_BYTES = 18
_MAX_NAME = 1024


class Proving:
    """One exchange. `name` is whom the client says to be, once it has."""

    def __init__(self, front: Front, binding: bytes, peer: str) -> None:
        self._front = front
        self._binding = binding
        self._peer = peer
        self._first: ClientFirst | None = None
        self._server: ServerFirst | None = None
        self._challenge: Challenge | None = None
        self.name = ""

    @property
    def begun(self) -> bool:
        """Whether the client's first message has been answered."""
        return self._challenge is not None

    async def begin(self, said: JsonObject) -> str:
        """Answer the client's first message. Raises Refused, Banned, StateUnavailable."""
        if said.get("mechanism") != MECHANISM:
            raise Refused(AUTH_MALFORMED, f"the only mechanism is {MECHANISM}")
        first = _read(ClientFirst.read, said)
        token = said.get("token")
        if token is not None and not isinstance(token, str):
            raise Refused(AUTH_MALFORMED, "a token's id is text")
        if len(first.user) > _MAX_NAME:
            raise Refused(AUTH_MALFORMED, "no account has so long a name")
        self.name = first.user
        if first.binding != TYPE:
            raise Refused(AUTH_MALFORMED, f"the proof must be bound to the channel by {TYPE}")
        core = self._front.core
        challenge = await core.logins.run(self._front.proofs.challenge, first.user, self._peer, token)
        nonce = first.nonce + secrets.token_urlsafe(_NONCE_BYTES)
        verifier = challenge.verifier
        self._first, self._server = first, ServerFirst.make(nonce, verifier.salt, verifier.iterations)
        self._challenge = challenge
        return str(self._server)

    async def finish(self, said: JsonObject) -> tuple[Proved, str]:
        """Check the client's proof; who came in, and the server's own proof. Raises Refused, LoginRefused, Banned,
        StateUnavailable.
        """
        assert self._first is not None
        assert self._server is not None
        assert self._challenge is not None
        final = _read(ClientFinal.read, said)
        core, proofs = self._front.core, self._front.proofs
        if not final.answers(self._first, self._server, self._binding):
            refusal: LoginRefused = await core.logins.run(proofs.fail, self._challenge, "another channel or exchange")
            raise refusal
        message = auth_message(self._first, self._server, final.without_proof)
        proved = await core.logins.run(proofs.finish, self._challenge, message, final.proof)
        return proved, str(ServerFinal(proved.signature))


def _read(read: Callable[[str], M], said: JsonObject) -> M:
    text = said.get("message")
    if not isinstance(text, str):
        raise Refused(AUTH_MALFORMED, "AUTH without a message")
    try:
        return read(text)
    except ScramMalformed as error:
        raise Refused(AUTH_MALFORMED, str(error)) from error
