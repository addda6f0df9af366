"""The way in by a public key: whose key it is, and whether the account opens.

The one rule: as in `homeport.core.login`, whoever is refused does not learn why. A key that opens nothing is no guess
at a password, and clients offer all they have: it counts as no failure. Who offers too many is counted by `failed`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from homeport.core.accounts import Account, Accounts
from homeport.core.errors import LoginRefused
from homeport.core.login import barred
from homeport.core.login_guard import LoginGuard
from homeport.core.ssh_keys import SshKey, SshKeys


class KeyLogin:
    """Decides whether a key opens an account. Its methods block; threads may share it."""

    def __init__(
        self, accounts: Accounts, keys: SshKeys, guard: LoginGuard, clock: Callable[[], float] = time.time
    ) -> None:
        self._accounts = accounts
        self._keys = keys
        self._guard = guard
        self._clock = clock

    def fits(self, name: str, blob: bytes, address: str) -> bool:
        """Whether a peer at `address` who has this key's other half would come in as `name`. Raises Banned."""
        self._guard.check(address, name)
        return not isinstance(self._look(name, blob, address), str)

    def authenticate(self, name: str, blob: bytes, address: str) -> Account:
        """The account that the key opens for a peer who has proved to have its other half.

        Raises LoginRefused when it does not open (any more), Banned.
        """
        self._guard.check(address, name)
        found = self._look(name, blob, address)
        if isinstance(found, str):
            raise LoginRefused(found)
        account, key = found
        self._guard.succeeded(address, name)
        self._keys.used(key)
        return account

    def failed(self, name: str, address: str) -> float:
        """Count a peer who offered too many keys as one failed login; the seconds that the refusal is to wait."""
        return self._guard.failed(address, name)

    def _look(self, name: str, blob: bytes, address: str) -> tuple[Account, SshKey] | str:
        found = self._accounts.credentials(name)
        key = self._keys.find(found.account.id if found else None, blob)
        if found is None:
            return "unknown name"
        if key is None:
            return "unknown key"
        if not key.may_come_from(address):
            return "the key is not for this address"
        return barred(found.account, self._clock()) or (found.account, key)
