"""What a core error is called in HPTP: one table from the tree in `core/errors.py` to the codes of ERROR frames.

The one rule: a code is a class's name in kebab case, so that a client in any language can map them one to one.
"""

from __future__ import annotations

from dataclasses import fields

from homeport.core import errors
from homeport.core.errors import HomeportError
from homeport.protocols.hptp.names import to_wire
from homeport.protocols.hptp.strict_json import Json, JsonObject

CODES: dict[type[HomeportError], str] = {
    errors.InvalidPath: "invalid-path",
    errors.NotFound: "not-found",
    errors.AlreadyExists: "already-exists",
    errors.NotADirectory: "not-a-directory",
    errors.IsADirectory: "is-a-directory",
    errors.DirectoryNotEmpty: "directory-not-empty",
    errors.NotARegularFile: "not-a-regular-file",
    errors.OutsideHome: "outside-home",
    errors.RootRefused: "root-refused",
    errors.RightMissing: "right-missing",
    errors.NotPermitted: "not-permitted",
    errors.Busy: "busy",
    errors.OffsetPastEnd: "offset-past-end",
    errors.SizeMismatch: "size-mismatch",
    errors.DigestMismatch: "digest-mismatch",
    errors.SourceChanged: "source-changed",
    errors.QuotaExceeded: "quota-exceeded",
    errors.StorageFull: "storage-full",
    errors.StorageFailed: "storage-failed",
    errors.LedgerBusy: "ledger-busy",
    errors.HomeUnavailable: "home-unavailable",
    errors.StateUnavailable: "state-unavailable",
    errors.StageElsewhere: "stage-elsewhere",
    errors.LoginRefused: "login-refused",
    errors.Banned: "banned",
    errors.TooManySessions: "too-many-sessions",
    errors.AccountNotFound: "account-not-found",
    errors.AccountExists: "account-exists",
    errors.InvalidAccount: "invalid-account",
    errors.TokenNotFound: "token-not-found",
    errors.TooManyTokens: "too-many-tokens",
    errors.RoomNotFound: "room-not-found",
    errors.RoomExists: "room-exists",
    errors.ChatRightMissing: "chat-right-missing",
    errors.ChatTooFast: "chat-too-fast",
    errors.InvalidMessage: "invalid-message",
}

_UNKNOWN = "server-mistake"
# What a peer must not learn of a login, and what the sentence says anyway.
_KEPT_BACK = frozenset({"reason", "delay_s", "right", "name"})


class Refused(Exception):
    """A request that this server refuses for a reason of its own; `code` is one of those below."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


MALFORMED = "request-malformed"
UNKNOWN_OP = "op-unknown"
CANCELLED = "cancelled"
STALLED = "stalled"
TOO_MANY = "too-many-transfers"
MISTAKE = "server-mistake"
MISTAKE_TEXT = "the server made a mistake, which is in its log now"


def code_of(error: HomeportError) -> str:
    """The code of `error`: its own class's, else that of the nearest class above it."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), _UNKNOWN)


def error_object(error: Refused | HomeportError) -> JsonObject:
    """The payload of the ERROR frame that answers a request which ended with `error`."""
    if isinstance(error, Refused):
        return {"code": error.code, "message": readable(str(error))}
    details: JsonObject = {"code": code_of(error), "message": readable(str(error))}
    for member in fields(error):
        value: Json = getattr(error, member.name)
        if member.name not in _KEPT_BACK and isinstance(value, (int, str)):
            details[member.name] = to_wire(value) if isinstance(value, str) else value
    return details


def readable(text: str) -> str:
    """`text` in which names that are no UTF-8 are shown as well as can be: messages are for people."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
