"""One connection that has logged in, as its channels see it: who it is, its home, and how long it lasts.

The one rule: channels reach the disk through `home` alone, and whatever they hold is given back by `on_close`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from homeport.core.accounts import Account
from homeport.core.audit_events import Event, Who
from homeport.core.home import Home
from homeport.core.sessions import SessionRecord
from homeport.servers.core_access import CoreAccess
from homeport.servers.ssh.settings import SshSettings

_log = logging.getLogger(__name__)


class SshSession:
    """For the event loop's thread. `peer` is the client's address without its port, or `unix`."""

    __slots__ = ("_closing", "closed", "core", "home", "peer", "record", "settings")

    def __init__(self, home: Home, record: SessionRecord, core: CoreAccess, settings: SshSettings) -> None:
        self.home = home
        self.record = record
        self.core = core
        self.settings = settings
        self.peer = record.peer
        self.closed = False
        self._closing: list[Callable[[], None]] = []

    @property
    def account(self) -> Account:
        """The account as it is now: rights and limits may change while the session lasts."""
        return self.home.account

    @property
    def who(self) -> Who:
        """Whoever this is, for the audit log."""
        return Who.of(self.record)

    def audit(self, event: Event) -> None:
        """Note `event` in the audit log."""
        self.core.audit(event)

    def on_close(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called when the connection has ended, at once if it has; returns what takes it back."""
        if self.closed:
            callback()
            return _nothing
        self._closing.append(callback)

        def forget() -> None:
            if callback in self._closing:
                self._closing.remove(callback)

        return forget

    def close(self) -> None:
        """The connection has ended: tell everybody, the last one first. For the connection alone; works twice."""
        self.closed = True
        while self._closing:
            try:
                self._closing.pop()()
            except Exception:  # noqa: BLE001 - logged; the others are to hear of it, too
                _log.exception("a channel could not be ended")


def _nothing() -> None:
    """There is nothing to take back."""
