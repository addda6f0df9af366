"""Device tokens: what `homeport login` keeps in place of the password, where the server makes them.

The one rule: a token is shown to nobody, and dies at the server when it is forgotten here.
"""

from __future__ import annotations

import socket

from homeport.client.errors import ProtocolViolation
from homeport.client.hptp.login import Token
from homeport.client.hptp.remote import HptpRemote
from homeport.client.remote import Remote

_MAX_LABEL = 64


def make_token(remote: Remote) -> Token | None:
    """A new token for this device; None where the server's protocol has none. Raises ServerRefused."""
    if not isinstance(remote, HptpRemote):
        return None
    label = socket.gethostname()[:_MAX_LABEL] or "homeport"
    made = remote.ask("make a token for this device", "token.create", label=label)
    number, secret = made.get("id"), made.get("secret")
    if not isinstance(number, str) or not isinstance(secret, str) or " " in number + secret:
        raise ProtocolViolation("the server made no token")
    return Token(number, secret)


def revoke_token(remote: Remote, kept: str) -> bool:
    """Whether what was kept was a token: it is none any more. Raises ServerRefused."""
    token = Token.of(kept)
    if token is None or not isinstance(remote, HptpRemote):
        return False
    remote.ask("revoke this device's token", "token.revoke", id=token.id)
    return True
