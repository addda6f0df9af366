"""Where confined commands are started: what every protocol that gives commands away is given.

The one rule: the event loop never starts a process itself. Starting takes milliseconds, and far more where a server
with much memory would be forked; threads do it that live as long as the server.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from homeport.servers.sandbox import bubblewrap
from homeport.servers.sandbox.bubblewrap import Confiner, SandboxUnavailable
from homeport.servers.sandbox.launch import Launched, LaunchFailed, Order, launch
from homeport.servers.sandbox.running import RunningCommand, adopt_orphans, hear_signals

_STARTERS = 2  # one machine makes namespaces one after the other anyway
_METERS = 16  # a large home takes a thread for seconds, and the others are to be counted meanwhile
_BROKEN = "the sandbox could not be made; the administrator finds the reason in the server's log"

T = TypeVar("T")
_log = logging.getLogger(__name__)


class TooManyCommands(Exception):
    """The account runs as many commands as it may; the text says so."""


class Sandbox:
    """For one event loop. `scratch` is a folder for what must be made once, `path` where bubblewrap is looked for."""

    def __init__(self, scratch: Path, path: str | None = None) -> None:
        self._scratch = scratch
        self._path = path
        self._confiner: Confiner | None = None
        self._preparing = asyncio.Lock()
        self._starters = ThreadPoolExecutor(_STARTERS, "homeport-exec")
        self._meters = ThreadPoolExecutor(_METERS, "homeport-meter")
        self._running: Counter[Hashable] = Counter()
        self._under_way: set[asyncio.Task[None]] = set()

    @contextmanager
    def place(self, owner: Hashable, most: int) -> Iterator[None]:
        """Around one command of the owner, who runs at most so many at once. Raises TooManyCommands."""
        if self._running[owner] >= most:
            raise TooManyCommands(f"this account runs {most} commands already; end one and try again")
        self._running[owner] += 1
        try:
            yield
        finally:
            self._running[owner] -= 1
            if not self._running[owner]:
                del self._running[owner]

    async def prepare(self) -> Confiner:
        """What this machine confines with; looked at once, and again as long as something is missing.

        Raises SandboxUnavailable.
        """
        async with self._preparing:
            if self._confiner is None:
                self._confiner = await self._off_loop(functools.partial(bubblewrap.prepare, self._scratch, self._path))
                adopt_orphans()
                hear_signals()
            return self._confiner

    async def start(self, make_order: Callable[[Confiner], Order]) -> RunningCommand:
        """Start the command that `make_order` gives. Raises SandboxUnavailable.

        One who is cancelled meanwhile leaves nothing behind.
        """
        confiner = await self.prepare()
        order = make_order(confiner)
        starting = asyncio.ensure_future(self._off_loop(functools.partial(launch, confiner, order)))
        terminal = order.terminal is not None
        try:
            launched = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._keep(asyncio.ensure_future(_abandon(starting, terminal=terminal)))
            raise
        except LaunchFailed as error:
            _log.error("a command could not be started: %s", error)
            self._confiner = None  # something may have changed: look again next time
            raise SandboxUnavailable(_BROKEN) from error
        return RunningCommand(launched, terminal=terminal)

    async def metered(self, call: Callable[[], T]) -> T:
        """What `call` returns, which looks at disks: in threads of its own, so that nothing else delays the looking."""
        return await asyncio.get_running_loop().run_in_executor(self._meters, call)

    async def see_through(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for the work around one command, which goes on to its end though whoever waits is cancelled."""
        await asyncio.shield(self._keep(asyncio.ensure_future(work)))

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def idle(self) -> None:
        """Wait until all the work has ended that was begun by `see_through`."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def close(self) -> None:
        """End the threads, and with them all commands. Blocks until a start under way has ended."""
        self._starters.shutdown()
        self._meters.shutdown()

    async def _off_loop(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._starters, call)


@functools.cache
def shared(scratch: Path, path: str | None = None) -> Sandbox:
    """This process's sandbox; it lasts as long as the process."""
    return Sandbox(scratch, path)


async def _abandon(starting: asyncio.Future[Launched], *, terminal: bool) -> None:
    """Nobody waits for the command any more that is being started."""
    with suppress(LaunchFailed):
        command = RunningCommand(await starting, terminal=terminal)
        command.kill("nobody waits for it")
        await command.wait()
        command.close()
