"""One worker as the master sees it: a child process and the link to it. One rule: its end is always noticed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

from homeport.daemon.errors import StartFailed
from homeport.daemon.link import Link, LinkClosed
from homeport.daemon.wire import Message

START_TIMEOUT_S = 60.0
_KILL_AFTER_S = 5.0


class WorkerProcess:
    """Started by `start`, over when `wait` returns. `assignment` is what the worker is told before anything else."""

    def __init__(self, module: str, assignment: Message) -> None:
        self._module = module
        self._assignment = assignment
        self._link = Link(self._handle)
        self._process: asyncio.subprocess.Process | None = None
        self._link_task: asyncio.Task[None] | None = None
        self._bound: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.ready = False

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> Message:
        """Start it and wait until it has bound its ports; what it says of them. Raises StartFailed."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        await self._link.open(ours)
        self._link_task = asyncio.get_running_loop().create_task(self._run_link())
        with theirs:
            try:
                # -P: a module of the same name in the current folder must not be imported instead.
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", self._module, stdin=theirs.fileno(), stdout=sys.stderr
                )
            except OSError as error:
                raise StartFailed(f"no process can be started: {error.strerror}") from error
        try:
            return await asyncio.wait_for(asyncio.shield(self._bound), START_TIMEOUT_S)
        except TimeoutError:
            raise StartFailed(f"a worker was not ready within {START_TIMEOUT_S:g} s") from None

    async def _run_link(self) -> None:
        await self._link.run()
        self.ready = False
        if not self._bound.done():
            self._bound.set_exception(StartFailed("a worker ended before it was ready; its log says more"))
            self._bound.exception()  # a master that is stopping does not ask any more

    async def _handle(self, verb: str, arguments: Message) -> Message | None:
        if verb == "hello":
            return self._assignment
        if self._bound.done():
            return None
        if verb == "bound":
            self.ready = True
            self._bound.set_result(arguments)
        elif verb == "failed":
            self._bound.set_exception(StartFailed(str(arguments["reason"])))
        return None

    async def call(self, verb: str, arguments: Message | None = None) -> Message:
        """As Link.call."""
        return await self._link.call(verb, arguments)

    def tell(self, verb: str, arguments: Message | None = None) -> None:
        """As Link.tell, but a worker that is gone needs no news."""
        with contextlib.suppress(LinkClosed):
            self._link.tell(verb, arguments)

    async def wait(self) -> int:
        """Wait for its end; the exit status. A worker that closed its link and lingers is killed."""
        assert self._link_task is not None
        await self._link_task
        if self._process is None:
            return -1
        try:
            return await asyncio.wait_for(self._process.wait(), _KILL_AFTER_S)
        except TimeoutError:
            self.kill()
            return await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
