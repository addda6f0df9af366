"""The way in by SCRAM (RFC 5802): whoever proves to know the password, or a device token, without sending it.

The one rule: as in `homeport.core.login`, a refusal is the same sentence after the same work, whatever the reason. A
name that nobody has gets a challenge like any other: its salt is always the same, for it is made of the name and of a
secret that this instance keeps, so that asking twice, or after a restart, tells nothing. No proof fits it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select

from homeport.core.account_names import name_key
from homeport.core.accounts import Account, Accounts
from homeport.core.errors import LoginRefused
from homeport.core.login import Reason, barred
from homeport.core.login_guard import LoginGuard
from homeport.core.passwords import HashCost
from homeport.core.schema import server_secrets
from homeport.core.scram import ScramVerifier
from homeport.core.state import Database
from homeport.core.tokens import TOKEN_ITERATIONS, DeviceTokens

_SALT_BYTES = 16
_SECRET_BYTES = 32
_SECRET_NAME = "unknown accounts' salts"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a peer who wants in as `name` is asked: to prove what `verifier` fits. `account` is None for nobody's."""

    name: str
    address: str
    account: Account | None
    verifier: ScramVerifier
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Proved:
    """Somebody came in; `signature` proves to the peer that this server has the verifier."""

    account: Account
    signature: bytes = field(repr=False)


class ProofLogin:
    """Decides who comes in by a proof. Its methods block; threads may share it."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        guard: LoginGuard,
        *,
        cost: HashCost | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`cost` is what accounts' verifiers are made with: nobody's must look like them."""
        self.tokens = DeviceTokens(database, clock)
        self._database = database
        self._accounts = accounts
        self._guard = guard
        self._iterations = (cost or HashCost()).scram_iterations
        self._clock = clock
        self._secret: bytes | None = None

    def challenge(self, name: str, address: str, token: str | None = None) -> Challenge:
        """What the peer at `address` must prove to come in as `name`, by the device token with this id if it says so.

        Raises Banned, StateUnavailable.
        """
        self._guard.check(address, name)
        found = self._accounts.credentials(name)
        nobody = self._nobody(name, token)
        verifier = None
        if token is not None:
            verifier = self.tokens.verifier(name, token)
        elif found is not None:
            verifier = ScramVerifier.parse(found.verifiers.scram_sha256)
        account = found.account if found and verifier else None
        return Challenge(name, address, account, verifier or nobody, token)

    def finish(self, challenge: Challenge, auth_message: bytes, proof: bytes) -> Proved:
        """The account that the peer's ClientProof opens; `auth_message` as in RFC 5802 section 3.

        Raises LoginRefused, whose `delay_s` seconds have to pass before the peer hears of it; Banned; and
        StateUnavailable when it cannot be found out, which counts as no failure.
        """
        right = challenge.verifier.accepts(auth_message, proof)
        # As in Login: of many logins at once none gets in once a ban stands.
        self._guard.check(challenge.address, challenge.name)
        # What was disabled or revoked, or got a new password, since the challenge does not come in any more.
        account = self._still(challenge)
        bar = barred(account, self._clock()) if account else None
        if account is not None and right and bar is None:
            self._guard.succeeded(challenge.address, challenge.name)
            if challenge.token is not None:
                self.tokens.used(challenge.token)
            return Proved(account, challenge.verifier.server_signature(auth_message))
        raise LoginRefused(_reason(challenge, bar, right=right), self._guard.failed(challenge.address, challenge.name))

    def fail(self, challenge: Challenge, reason: str) -> LoginRefused:
        """Count an exchange that the peer broke: another nonce, another channel. To be raised by the caller."""
        self._guard.check(challenge.address, challenge.name)
        return LoginRefused(reason, self._guard.failed(challenge.address, challenge.name))

    def _still(self, challenge: Challenge) -> Account | None:
        found = self._accounts.credentials(challenge.name)
        before = challenge.account
        if found is None or before is None:
            return None
        if challenge.token is not None and self.tokens.verifier(challenge.name, challenge.token) is None:
            return None
        now = found.account
        same = now.id == before.id and now.password_changed_at == before.password_changed_at
        return now if same else None

    def _nobody(self, name: str, token: str | None) -> ScramVerifier:
        try:
            known_as = name_key(name)
        except ValueError:
            known_as = name[:1024]
        about = "\0".join((known_as, *([] if token is None else [token[:1024]])))
        salt = hmac.digest(self._kept_secret(), about.encode(errors="surrogatepass"), "sha256")[:_SALT_BYTES]
        iterations = self._iterations if token is None else TOKEN_ITERATIONS
        stored_key = hashlib.sha256(secrets.token_bytes(_SECRET_BYTES)).digest()
        return ScramVerifier(iterations, salt, stored_key, secrets.token_bytes(_SECRET_BYTES))

    def _kept_secret(self) -> bytes:
        """The same for all processes that share the database, and for all times."""
        if self._secret is None:
            row = {"name": _SECRET_NAME, "value": secrets.token_bytes(_SECRET_BYTES)}
            with self._database.write() as connection:
                connection.execute(self._database.insert(server_secrets).values(row).on_conflict_do_nothing())
                kept = select(server_secrets.c.value).where(server_secrets.c.name == _SECRET_NAME)
                self._secret = bytes(connection.execute(kept).scalar_one())
        return self._secret


def _reason(challenge: Challenge, bar: Reason | None, *, right: bool) -> str:
    if challenge.account is None:
        return "unknown name" if challenge.token is None else "unknown token"
    if not right:
        return "wrong password" if challenge.token is None else "wrong token"
    return bar or f"the {'password' if challenge.token is None else 'token'} was changed meanwhile"
