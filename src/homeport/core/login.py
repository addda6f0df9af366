"""The one way in: guard, password and account state together, for every protocol.

The one rule: a refusal is the same sentence after the same work, whatever the reason; the reason is for the audit log.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from homeport.core.accounts import Account, Accounts
from homeport.core.errors import LoginRefused
from homeport.core.login_guard import LoginGuard
from homeport.core.passwords import PasswordVerifier

Reason = Literal["unknown name", "wrong password", "disabled", "expired"]


class Login:
    """Decides who comes in. Blocks for an Argon2id computation; threads may share it."""

    def __init__(
        self,
        accounts: Accounts,
        verifier: PasswordVerifier,
        guard: LoginGuard,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._accounts = accounts
        self._verifier = verifier
        self._guard = guard
        self._clock = clock

    def authenticate(self, name: str, password: str, address: str) -> Account:
        """The account that `name` and `password` open, for a peer at `address`.

        Raises LoginRefused, whose `delay_s` seconds have to pass before the peer hears of it; Banned; and
        StateUnavailable when it cannot be found out, which counts as no failure.
        """
        self._guard.check(address, name)
        found = self._accounts.credentials(name)
        bar = barred(found.account, self._clock()) if found else None
        right = self._verifier.verify(found.verifiers if found else None, name, password, cached=bar is None)
        # Many logins at once may have passed the first check before their failures counted: none of them gets in
        # once a ban stands, so guessing side by side wins nothing.
        self._guard.check(address, name)
        if found is not None and right and bar is None:
            self._guard.succeeded(address, name)
            return found.account
        reason: Reason = "wrong password" if found and not right else bar or "unknown name"
        raise LoginRefused(reason, self._guard.failed(address, name))


def barred(account: Account, now: float) -> Reason | None:
    """Why the account opens to nobody at `now`, in seconds since the epoch; None when it opens."""
    if not account.enabled:
        return "disabled"
    if account.expires_at is not None and account.expires_at <= now:
        return "expired"
    return None
