"""One connection that has logged in, as its channels see it: who it is, its home, and how long it lasts.

The one rule: channels reach the disk through `home` alone, and whatever they hold is given back by `on_close`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from homeport.core.accounts import Account
from homeport.core.audit_events import Event, Who
from homeport.core.home import Home
from homeport.core.sessions import SessionRecord
from homeport.servers.core_access import CoreAccess
from homeport.servers.rates import SharedRate
from homeport.servers.ssh.settings import SshSettings

_log = logging.getLogger(__name__)


class SshSession:
    """For the event loop's thread. `peer` is the client's address without its port, or `unix`."""

    __slots__ = ("_closing", "_endings", "closed", "core", "home", "peer", "record", "settings")

    def __init__(self, home: Home, record: SessionRecord, core: CoreAccess, settings: SshSettings) -> None:
        self.home = home
        self.record = record
        self.core = core
        self.settings = settings
        self.peer = record.peer
        self.closed = False
        self._endings: set[asyncio.Task[None]] = set()
        self._closing: list[Callable[[], None]] = []

    @property
    def account(self) -> Account:
        """The account as it is now: rights and limits may change while the session lasts."""
        return self.home.account

    @property
    def who(self) -> Who:
        """Whoever this is, for the audit log."""
        return Who.of(self.record)

    def bucket(self, *, upload: bool) -> SharedRate | None:
        """The rate limit of the account's uploads or downloads, shared by its sessions; None where it has none."""
        own, common = self.account.limits, self.settings
        if upload:
            rate = own.upload_bytes_per_s or common.upload_bytes_per_s
        else:
            rate = own.download_bytes_per_s or common.download_bytes_per_s
        return None if rate is None else self.core.rates.bucket(self.account.id, rate, upload=upload)

    async def keep_rate(self, amount: int, *, upload: bool) -> None:
        """Wait as long as the account's rate wants it after `amount` bytes."""
        bucket = self.bucket(upload=upload)
        if bucket is not None and amount:
            delay_s = bucket.delay(time.monotonic(), amount)
            if delay_s > 0 and not self.closed:
                await asyncio.sleep(delay_s)

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

    def finish(self, ending: Coroutine[Any, Any, None]) -> None:
        """A channel has ended, and `ending` gives back what it held: the home stays open until it is done."""
        task = asyncio.get_running_loop().create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._finished)

    async def finished(self) -> None:
        """Wait until all channels have given back what they held."""
        while self._endings:
            await asyncio.wait(self._endings)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._endings.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a channel did not end cleanly", exc_info=error)

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
