"""Stopping a command that passes one of its limits, or whose account may run it no more.

The one rule: whoever stops a command says why, and the first reason is the one that the client and the log are told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from homeport.config.units import human_size
from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.metering import Meter
from homeport.servers.sandbox.running import RunningCommand
from homeport.servers.sandbox.sandbox import Sandbox

_log = logging.getLogger(__name__)
SWITCHED_OFF = "the account's rights were changed"


class Watch:
    """Over one command; `may_go_on` is asked with every look."""

    def __init__(self, command: RunningCommand, meter: Meter, limits: Limits, may_go_on: Callable[[], bool]) -> None:
        self._command = command
        self._meter = meter
        self._limits = limits
        self._may_go_on = may_go_on
        self.output_bytes = 0

    def said(self, count: int) -> bool:
        """Note bytes of output; whether they may be passed on."""
        self.output_bytes += count
        if self.output_bytes <= self._limits.output_bytes:
            return True
        self._command.kill(f"it has said more than {human_size(self._limits.output_bytes)}")
        return False

    async def keep(self, sandbox: Sandbox) -> None:
        """Look after the command until cancelled; one that cannot be looked after any more is stopped."""
        loop = asyncio.get_running_loop()
        wall = loop.call_later(self._limits.wall_s, self._command.kill, f"it took {self._limits.wall_s:g} s")
        try:
            while True:
                await asyncio.sleep(self._meter.pause_s)
                reason = await sandbox.metered(self._look)
                if not self._may_go_on():
                    reason = SWITCHED_OFF
                if reason is not None:
                    self._command.kill(reason)
        except Exception:  # noqa: BLE001 - logged; nothing runs unwatched
            _log.exception("a command could not be watched any more")
            self._command.kill("the server failed to watch it")
        finally:
            wall.cancel()

    def _look(self) -> str | None:
        return self._meter.look(self._command.cpu_s(), self._command.unlinked_bytes)
