"""Device tokens: secrets that let one device in without the account's password, each revoked for itself.

The one rule: what is stored cannot log in. A token is an id, which is no secret, and 256 random bits that are shown
once; kept of them is a SCRAM-SHA-256 verifier, as of a password. A new password ends the tokens made before it, for
whoever had the old one may have made them.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, ScalarSelect, Select, and_, delete, func, insert, select, update

from homeport.core.account_names import name_key
from homeport.core.accounts import Account
from homeport.core.errors import TokenNotFound, TooManyTokens
from homeport.core.schema import accounts, device_tokens
from homeport.core.scram import ScramVerifier
from homeport.core.state import Database

MAX_TOKENS = 64  # of one account
MAX_LABEL_LENGTH = 64
_ID_BYTES = 8
_SECRET_BYTES = 32
# RFC 7677's least: a guess at 256 random bits needs no slowing down.
TOKEN_ITERATIONS = 4096
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_USED_EVERY_S = 60.0  # how exactly the last use is known


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """One token as people see it; the times are seconds since the epoch, `used_at` None before the first login."""

    id: str
    label: str
    created_at: float
    used_at: float | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token with its secret, which nobody can be told again. It logs in as a password does, under the token's id."""

    token: DeviceToken
    secret: str = field(repr=False)


class DeviceTokens:
    """All accounts' tokens. Threads and processes may share them; the methods block."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def create(self, account: Account, label: str) -> NewToken:
        """A new token; `label` names the device to its owner. Raises TooManyTokens, ValueError for the label."""
        label = _clean_label(label)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        verifier = ScramVerifier.make(secret.encode(), TOKEN_ITERATIONS)
        row = {
            "id": secrets.token_hex(_ID_BYTES),  # never one that begins with a hyphen, as an option of a command does
            "account_id": account.id,
            "label": label,
            "scram_sha256": str(verifier),
            "created_at": self._clock(),
        }
        of_account = device_tokens.c.account_id == account.id
        with self._database.write() as connection:
            connection.execute(delete(device_tokens).where(of_account, device_tokens.c.created_at < _password_since()))
            count = connection.scalar(select(func.count()).select_from(device_tokens).where(of_account)) or 0
            if count >= MAX_TOKENS:
                raise TooManyTokens(account.name, MAX_TOKENS)
            made = connection.execute(insert(device_tokens).values(row).returning(device_tokens)).one()
        return NewToken(_token(made), secret)

    def of(self, account: Account) -> list[DeviceToken]:
        """The account's tokens that log in, the oldest first."""
        wanted = _living().where(device_tokens.c.account_id == account.id).order_by(device_tokens.c.created_at)
        with self._database.read() as connection:
            return [_token(row) for row in connection.execute(wanted)]

    def revoke(self, account: Account, token_id: str) -> DeviceToken:
        """End one token; sessions that it opened before go on. Raises TokenNotFound."""
        if not _ID.fullmatch(token_id):
            raise TokenNotFound(account.name, token_id[:32])
        mine = and_(device_tokens.c.account_id == account.id, device_tokens.c.id == token_id)
        with self._database.write() as connection:
            gone = connection.execute(delete(device_tokens).where(mine).returning(device_tokens)).first()
        if gone is None:
            raise TokenNotFound(account.name, token_id)
        return _token(gone)

    def verifier(self, name: str, token_id: str) -> ScramVerifier | None:
        """What checks a login by this token into the account of that name; None when there is no such token."""
        try:
            wanted = _living().where(device_tokens.c.id == token_id, accounts.c.name_key == name_key(name))
        except ValueError:
            return None
        if not _ID.fullmatch(token_id):
            return None
        with self._database.read() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else ScramVerifier.parse(row.scram_sha256)

    def used(self, token_id: str) -> None:
        """Remember that the token has just logged in."""
        now, this = self._clock(), device_tokens.c.id == token_id
        stale = func.coalesce(device_tokens.c.used_at, 0.0) < now - _USED_EVERY_S
        with self._database.read() as connection:
            if not connection.scalar(select(stale).where(this)):
                return
        with self._database.write() as connection:
            connection.execute(update(device_tokens).where(this).values(used_at=now))


def _living() -> Select[Any]:
    """Tokens that are not older than their account's password."""
    since = accounts.c.password_changed_at
    joined = device_tokens.join(accounts, accounts.c.id == device_tokens.c.account_id)
    return select(device_tokens).select_from(joined).where(device_tokens.c.created_at >= since)


def _password_since() -> ScalarSelect[float]:
    """When the password of a token's account was set."""
    same = accounts.c.id == device_tokens.c.account_id
    return select(accounts.c.password_changed_at).where(same).scalar_subquery()


def _clean_label(label: str) -> str:
    label = " ".join(label.split())
    if not 1 <= len(label) <= MAX_LABEL_LENGTH or not label.isprintable():
        raise ValueError(f"a token's label has 1 to {MAX_LABEL_LENGTH} printable characters")
    return label


def _token(row: Row[Any]) -> DeviceToken:
    return DeviceToken(row.id, row.label, row.created_at, row.used_at)
