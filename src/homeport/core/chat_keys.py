"""Keys of the chat's sessions on UDP: made by whichever process a client has logged in to, opened by the one that
serves UDP, with nothing between them but one secret in the database.

The one rule: a session's name tells, to whoever knows the secret alone, whose session it is and when it was given; its
keys follow from the name. The secret is new whenever the UDP service starts, and a name opens a session only in the
first FRESH_S seconds and only once: so nothing that was recorded is ever taken again, after a restart least of all.
"""

from __future__ import annotations

import hmac
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select

from homeport.core.errors import StateUnavailable
from homeport.core.schema import server_secrets
from homeport.core.state import Database

FRESH_S = 60.0
KEY_BYTES = 32
_SECRET_NAME = "chat"  # noqa: S105 - what the secret is for
_NONCE_BYTES = 6
_INSIDE = struct.Struct(">HII")  # 48 bits of the account's number, and when the name was given
_NOT_SERVED = "the chat's UDP service has not started yet"


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """`client` seals what the client sends, `server` what the server sends."""

    name: bytes
    account_id: int
    client: bytes = field(repr=False)
    server: bytes = field(repr=False)


class ChatKeys:
    """`clock` counts seconds since the machine's boot: the same for all its processes, and nobody sets it."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._secret: bytes | None = None
        self._void: dict[int, int] = {}  # accounts, and the second up to which what they were given opens nothing
        self._used: dict[bytes, float] = {}  # names that have opened a session, and when they are stale

    def renew(self) -> None:
        """Take a new secret: all names given before are void. For the process that serves UDP, before it serves."""
        self._secret = secrets.token_bytes(KEY_BYTES)
        self._used.clear()
        row = {"name": _SECRET_NAME, "value": self._secret}
        put = self._database.insert(server_secrets).values(row)
        with self._database.write() as connection:
            connection.execute(
                put.on_conflict_do_update(index_elements=[server_secrets.c.name], set_={"value": self._secret})
            )

    def issue(self, account_id: int) -> SessionKeys:
        """Keys for a new session of the account. Raises StateUnavailable where nobody serves UDP."""
        with self._database.read() as connection:
            secret = connection.scalar(select(server_secrets.c.value).where(server_secrets.c.name == _SECRET_NAME))
        if secret is None:
            raise StateUnavailable(_NOT_SERVED)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        inside = _INSIDE.pack(account_id >> 32, account_id & 0xFFFFFFFF, int(self._clock()))
        return _keys(bytes(secret), nonce + _masked(bytes(secret), nonce, inside), account_id)

    def open(self, name: bytes) -> SessionKeys | None:
        """The keys of a session that begins now; None for a name that is not ours, is stale, or was used.

        It counts as used only when `begun` says so, for nothing has proven yet that it comes from whom it was given to.
        """
        secret = self._secret
        if secret is None or name in self._used:
            return None
        high, low, given = _INSIDE.unpack(_masked(secret, name[:_NONCE_BYTES], name[_NONCE_BYTES:]))
        age = self._clock() - given
        if not 0 <= age <= FRESH_S:
            return None
        account_id = high << 32 | low
        return None if given <= self._void.get(account_id, -1) else _keys(secret, name, account_id)

    def void(self, account_id: int) -> None:
        """The account has changed, its password perhaps: names that were given to it up to now open nothing."""
        now = int(self._clock())
        self._void = {account: until for account, until in self._void.items() if until >= now - FRESH_S - 1.0}
        self._void[account_id] = now

    def begun(self, name: bytes) -> None:
        """The session has proven itself: its name opens no other."""
        now = self._clock()
        self._used = {used: stale for used, stale in self._used.items() if stale > now}
        self._used[name] = now + FRESH_S + 1.0


def _masked(secret: bytes, nonce: bytes, inside: bytes) -> bytes:
    mask = hmac.digest(secret, b"name" + nonce, "sha256")
    return bytes(one ^ other for one, other in zip(inside, mask, strict=False))


def _keys(secret: bytes, name: bytes, account_id: int) -> SessionKeys:
    made = hmac.digest(secret, b"keys" + name, "sha512")
    return SessionKeys(name, account_id, made[:KEY_BYTES], made[KEY_BYTES:])
