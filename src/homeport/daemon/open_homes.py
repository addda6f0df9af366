"""The homes that sessions of this process have open, so that a changed account is felt in all of them at once.

One rule: a session of an account that was removed, disabled, or given a new password after the login does not go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

from homeport.core.accounts import Account, Accounts
from homeport.core.errors import AccountNotFound, LoginRefused
from homeport.core.home import Home, HomeServices, Modes
from homeport.core.sessions import SessionRecord

REMOVED = "the account was removed"
DISABLED = "the account was disabled"
EXPIRED = "the account has expired"
NEW_PASSWORD = "the password was changed"  # noqa: S105 - a sentence


class OpenHomes:
    """Opens homes and remembers them while somebody holds them. Thread-safe; its methods block."""

    def __init__(self, accounts: Accounts, services: HomeServices, clock: Callable[[], float] = time.time) -> None:
        self._accounts = accounts
        self._services = services
        self._clock = clock
        self._lock = threading.Lock()
        self._homes: WeakKeyDictionary[Home, SessionRecord] = WeakKeyDictionary()
        self._homeless: WeakKeyDictionary[SessionRecord, Account] = WeakKeyDictionary()

    def open(self, account: Account, session: SessionRecord) -> Home:
        """The home of `account`, which has just logged in. Raises LoginRefused, HomeUnavailable, StageElsewhere."""
        home = Home(account, self._services, session)
        with self._lock:
            self._homes[home] = session
        try:
            home.refresh(self._still_welcome(account))
        except BaseException:
            home.close()
            raise
        return home

    def watch(self, account: Account, session: SessionRecord) -> None:
        """The same for a session of `account` that needs no home. Raises LoginRefused."""
        with self._lock:
            self._homeless[session] = account
        self._still_welcome(account)

    def set_modes(self, modes: Modes) -> None:
        """New permission bits, for homes to come."""
        self._services = replace(self._services, modes=modes)

    def account_changed(self, account_id: int) -> int:
        """Give open homes the account's new record, and end the sessions that may not go on; how many."""
        current = self._current(account_id)
        kicked = 0
        for home, session in self._open_homes():
            if home.account.id == account_id:
                kicked += self._apply(home, session, current)
        for session, account in self._without_home():
            if account.id == account_id:
                kicked += _kick(session, self._why_out(account, current))
        return kicked

    def end_expired(self) -> int:
        """End the sessions of accounts whose time has come; how many."""
        kicked = sum(self._apply(home, session, home.account) for home, session in self._open_homes())
        return kicked + sum(
            _kick(session, self._why_out(account, account)) for session, account in self._without_home()
        )

    def _apply(self, home: Home, session: SessionRecord, current: Account | None) -> int:
        reason = self._why_out(home.account, current)
        if current is not None and reason is None:
            home.refresh(current)
            return 0
        return _kick(session, reason or REMOVED)

    def _still_welcome(self, account: Account) -> Account:
        """The account as it is, for it may have changed since its password was checked. Raises LoginRefused."""
        now = self._current(account.id)
        reason = self._why_out(account, now)
        if now is None or reason is not None:
            raise LoginRefused(reason or REMOVED, 0.0)
        return now

    def _why_out(self, before: Account, current: Account | None) -> str | None:
        if current is None:
            return REMOVED
        if not current.enabled:
            return DISABLED
        if current.expires_at is not None and current.expires_at <= self._clock():
            return EXPIRED
        return NEW_PASSWORD if current.password_changed_at != before.password_changed_at else None

    def _current(self, account_id: int) -> Account | None:
        try:
            return self._accounts.by_id(account_id)
        except AccountNotFound:
            return None

    def _open_homes(self) -> list[tuple[Home, SessionRecord]]:
        with self._lock:
            return list(self._homes.items())

    def _without_home(self) -> list[tuple[SessionRecord, Account]]:
        with self._lock:
            return list(self._homeless.items())


def _kick(session: SessionRecord, reason: str | None) -> int:
    """End the session where there is a reason to; how many."""
    if reason is None:
        return 0
    if session.kick is not None:
        session.kick(reason)
    return 1
