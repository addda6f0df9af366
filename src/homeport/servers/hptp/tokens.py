"""Device tokens through HPTP: their owner makes, lists and revokes them. One rule: nobody sees another account's."""

from __future__ import annotations

from collections.abc import Callable

from homeport.core.home import Home
from homeport.core.tokens import DeviceToken, DeviceTokens
from homeport.protocols.hptp.strict_json import Json, JsonObject
from homeport.servers.hptp.arguments import Arguments
from homeport.servers.hptp.errors import MALFORMED, Refused

Deed = Callable[[DeviceTokens, Home, Arguments], JsonObject]


def create(tokens: DeviceTokens, home: Home, arguments: Arguments) -> JsonObject:
    """A new token; its secret is told this once."""
    try:
        made = tokens.create(home.account, arguments["label"])
    except ValueError as error:
        raise Refused(MALFORMED, str(error)) from error
    return {"id": made.token.id, "secret": made.secret}


def of(tokens: DeviceTokens, home: Home, _: Arguments) -> JsonObject:
    """All of them."""
    return {"tokens": [_object(token) for token in tokens.of(home.account)]}


def revoke(tokens: DeviceTokens, home: Home, arguments: Arguments) -> JsonObject:
    """End one."""
    tokens.revoke(home.account, arguments["id"])
    return {}


def _object(token: DeviceToken) -> Json:
    used = None if token.used_at is None else int(token.used_at)
    return {"id": token.id, "label": token.label, "created": int(token.created_at), "last_used": used}
