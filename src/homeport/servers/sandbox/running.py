"""A confined command that runs: its streams, its signals, its end.

The one rule: when `wait` returns, no process of the sandbox is left, whatever the command did to outlive it. The
sandbox's first process is killed; the kernel ends that one only after all others of its process namespace.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass

from homeport.servers.sandbox import processes, terminals
from homeport.servers.sandbox.cgroups import Group
from homeport.servers.sandbox.launch import Launched
from homeport.servers.sandbox.streams import Inlet, Outlet, readable
from homeport.servers.sandbox.terminals import Size

KILLED = 128 + signal.SIGKILL
_PR_SET_CHILD_SUBREAPER = 36
_FOR_COMMANDS = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT,
)  # fmt: skip
_LATE_S = 30.0  # processes in the middle of a slow disk's work end later
_REMOVAL_TRIES = 20
_REMOVAL_PAUSE_S = 0.05

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: `status` as a shell says it, 128 + n for signal n; `reason` where the server ended it.

    `out_of_memory`: the kernel killed something of it for its limit of memory.
    """

    status: int
    reason: str | None = None
    out_of_memory: bool = False


def adopt_orphans() -> None:
    """Become the parent of sandboxes' first processes when bubblewrap has ended, so as to see and bury them."""
    with suppress(OSError, AttributeError):  # without it the machine's first process does
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def hear_signals() -> None:
    """Ignore no signal that a command must hear: what is ignored here would be ignored by every command (signal(7)).

    A handler is not inherited. Does nothing outside the main thread, which alone may set them.
    """
    with suppress(ValueError):
        for number in _FOR_COMMANDS:
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, _nothing)


def _nothing(_: int, __: object) -> None:
    """As if it were ignored."""


class RunningCommand:
    """For one event loop. Whoever has it reads `output` and `errors` to their ends, awaits `wait`, calls `close`."""

    def __init__(self, launched: Launched, *, terminal: bool) -> None:
        self._launched = launched
        self._reason: str | None = None
        self._over = False
        self._end = asyncio.ensure_future(self._watch())
        self.input = Inlet(launched.input if not terminal else os.dup(launched.input))
        self.output = Outlet(launched.output)
        self.errors = None if launched.errors is None else Outlet(launched.errors)
        self._terminal = launched.output if terminal else None

    async def wait(self) -> Ended:
        """How it ended, when nothing of it is left. Its output may still be to be read."""
        return await asyncio.shield(self._end)

    def kill(self, reason: str) -> None:
        """End everything in the sandbox at once; the first reason given is the one that is told."""
        if self._over:
            return
        self._reason = self._reason or reason
        self._kill_all()

    def signal(self, number: int) -> bool:
        """Send a signal to the command and those of its process group; whether there was somebody to get it.

        With a terminal: to the group that is in its foreground.
        """
        if self._over:
            return False
        with suppress(ProcessLookupError, PermissionError):
            group = self._foreground()
            if group is not None and group > 0:
                os.killpg(group, number)
                return True
        return False

    def resize(self, size: Size) -> None:
        """Give its terminal another size; without one nothing happens."""
        if self._terminal is not None and not self._over:
            with suppress(OSError):
                terminals.resize(self._terminal, size)

    def cpu_s(self) -> float:
        """Seconds of processor time used so far."""
        return 0.0 if self._over else processes.cpu_s(self._launched.first)

    def unlinked_bytes(self) -> int:
        """What it has on the home's disk in files that it removed and keeps open, which no count of the home finds."""
        return 0 if self._over else processes.unlinked_bytes(self._launched.first, self._launched.device)

    def close(self) -> None:
        """Close the streams; nobody may be reading or writing."""
        self._terminal = None
        for stream in (self.input, self.output, self.errors):
            if stream is not None:
                stream.close()

    def _foreground(self) -> int | None:
        if self._terminal is not None:
            with suppress(OSError):
                return os.tcgetpgrp(self._terminal)
        command = processes.command_of(self._launched.first)
        return None if command is None else os.getpgid(command)

    def _kill_all(self) -> None:
        with suppress(OSError):
            signal.pidfd_send_signal(self._launched.first_fd, signal.SIGKILL)

    async def _watch(self) -> Ended:
        launched = self._launched
        ended = os.pidfd_open(launched.bubblewrap.pid)
        try:
            await readable(ended)
        finally:
            os.close(ended)
        status = launched.bubblewrap.wait()
        self._kill_all()
        await self._bury()
        self._over = True
        out_of_memory = launched.group is not None and await _dissolve(launched.group)
        launched.close()
        return Ended(KILLED if self._reason else _as_shell(status), self._reason, out_of_memory)

    async def _bury(self) -> None:
        """Wait for the end of the first process, which is the end of all."""
        first = self._launched.first
        try:
            async with asyncio.timeout(_LATE_S):
                await readable(self._launched.first_fd)
        except TimeoutError:
            _log.error("a command's processes do not end, though they were killed (sandbox of process %d)", first)
        with suppress(ChildProcessError):
            os.waitpid(first, os.WNOHANG)  # noqa: ASYNC222 - it does not wait


async def _dissolve(group: Group) -> bool:
    """Remove the group; whether its memory had run out. In a thread: the kernel may take long."""
    ran_out = await asyncio.to_thread(group.ran_out)
    for _ in range(_REMOVAL_TRIES):
        if await asyncio.to_thread(group.remove):
            return ran_out
        await asyncio.sleep(_REMOVAL_PAUSE_S)  # the kernel counts a process out of its group a moment after its end
    _log.warning("control groups of an ended command stay: %s", ", ".join(map(str, group.folders)))
    return ran_out


def _as_shell(status: int) -> int:
    return 128 - status if status < 0 else status
