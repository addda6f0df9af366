"""A worker process: it is told everything over its standard input, a socket to the master.

One rule: it never outlives its master. On Linux the kernel ends it with its parent; everywhere the link's end does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from homeport.config.model import Settings
from homeport.daemon import logs
from homeport.daemon.assignment import Assignment
from homeport.daemon.errors import ControlRefused
from homeport.daemon.instance import Instance
from homeport.daemon.link import Link, LinkClosed
from homeport.daemon.wire import Message
from homeport.servers.lifecycle import Address, Server

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_HOUSEKEEPING_S = 5.0
# How long a thread may compute while the event loop wants its turn. The interpreter's own 5 ms would be felt by every
# client, and taken for a slow disk (servers/haste.py).
_SWITCH_S = 0.0005
# New objects before they are searched for circles. The interpreter's 700 are few: with a thousand requests under way,
# searching took a quarter of an upload's processor time, and held up everybody for 70 ms at a time.
_SEARCHED_AFTER = 10_000


class App(Protocol):
    """What a worker runs: servers, and what the master may ask of them. Blocking work happens in its own threads."""

    @property
    def servers(self) -> Sequence[Server]: ...

    async def start(self) -> None:
        """Before anything is bound: repair what dead processes left. Raises StartFailed."""
        ...

    async def housekeep(self) -> None:
        """Called every few seconds."""
        ...

    async def answer(self, verb: str, arguments: Message) -> Message | None:
        """One of status, who, kick, account-changed, reload. Raises ControlRefused."""
        ...

    async def close(self) -> None:
        """After the servers are closed: give everything back."""
        ...


Build = Callable[[Assignment], App]


class Worker:
    """One worker's life: hello, start, bind, serve, drain, close. `started` is called when it is there for clients."""

    def __init__(self, build: Build, started: Callable[[], None] = lambda: None) -> None:
        self._build = build
        self._started = started
        self._link = Link(self._handle)
        self._app: App | None = None
        self._settings = Settings()
        self._name = "worker"
        self._drain_s: float | None = None
        self._stop = asyncio.Event()
        self._end = asyncio.Event()

    async def run(self, connection: socket.socket) -> int:
        """Work until told to stop or the master is gone; the exit status."""
        await self._link.open(connection)
        link = asyncio.create_task(self._link.run())
        link.add_done_callback(lambda _: self._end_now())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        try:
            return await self._live()
        except LinkClosed:
            return 1
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)

    async def _live(self) -> int:
        told = await self._link.call("hello")
        if told["master_pid"] != os.getppid():
            return 1  # the master died before the kernel knew that we depend on it
        self._settings = Settings.model_validate(told["settings"])
        self._name = f"worker{told['slot']}"
        logs.configure(self._settings.logs.level, self._name)
        try:
            app = self._app = self._build(Assignment(Instance(Path(told["directory"])), self._settings, told["slot"]))
            await app.start()
            await _bind(app.servers)
        except Exception as error:  # noqa: BLE001 - the master says it to whoever starts the server
            _log.debug("the start failed", exc_info=True)
            self._link.tell("failed", {"reason": str(error)})
            return 1
        self._link.tell("bound", {"services": services_of(app.servers)})
        self._started()
        await self._serve(app)
        return 0

    async def _serve(self, app: App) -> None:
        housekeeping = asyncio.create_task(self._keep_house(app))
        try:
            for server in app.servers:
                await server.serve()
            await self._stop.wait()
            await self._drain(app)
        finally:
            housekeeping.cancel()
            await asyncio.gather(housekeeping, return_exceptions=True)
            await _close(app)

    async def _drain(self, app: App) -> None:
        deadline_s = self._settings.drain_timeout_s if self._drain_s is None else self._drain_s
        tasks = [asyncio.create_task(self._drain_all(app, deadline_s)), asyncio.create_task(self._drop_drain())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain_all(self, app: App, deadline_s: float) -> None:
        for done in await asyncio.gather(*(server.drain(deadline_s) for server in app.servers), return_exceptions=True):
            if isinstance(done, BaseException):
                _log.error("a server did not drain cleanly", exc_info=done)

    async def _drop_drain(self) -> None:
        await self._end.wait()

    async def _keep_house(self, app: App) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            try:
                await app.housekeep()
            except Exception:  # noqa: BLE001 - logged; the server goes on
                _log.exception("housekeeping failed; it is tried again in %g s", _HOUSEKEEPING_S)

    def _end_now(self) -> None:
        self._end.set()
        self._stop.set()

    async def _handle(self, verb: str, arguments: Message) -> Message | None:
        if verb == "drain":
            self._drain_s = arguments["deadline_s"]
            self._stop.set()
        elif verb == "end":
            self._end_now()
        elif self._app is None:
            raise ControlRefused("busy", "the worker is starting; try again in a moment")
        else:
            return await self._answer(self._app, verb, arguments)
        return None

    async def _answer(self, app: App, verb: str, arguments: Message) -> Message | None:
        answer = await app.answer(verb, arguments)
        if verb == "reload":
            self._settings = Settings.model_validate(arguments["settings"])
            logs.configure(self._settings.logs.level, self._name)
        return answer


async def _bind(servers: Sequence[Server]) -> None:
    """Bind all or none."""
    try:
        for server in servers:
            await server.bind()
    except BaseException:
        for server in servers:
            await server.close()
        raise


async def _close(app: App) -> None:
    for server in app.servers:
        try:
            await server.close()
        except Exception:  # noqa: BLE001 - logged; the others must be closed too
            _log.exception("%s did not close cleanly", server.name)
    await app.close()


def services_of(servers: Sequence[Server]) -> dict[str, Message]:
    """Each service with its first address, and all of them."""
    services: dict[str, Message] = {}
    for address in (address for server in servers for address in server.addresses):
        service = services.setdefault(address.service, {**_first(address), "listen": []})
        service["listen"].append(str(address))
    return services


def _first(address: Address) -> Message:
    if address.path is not None:
        return {"host": None, "port": None, "path": address.path, "transport": address.transport}
    return {"host": address.host, "port": address.port, "transport": address.transport}


def die_with_master() -> None:
    """Ask the kernel to end this process when its parent ends; where it cannot, the end of the link does."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _allow_many_files() -> None:
    """Take as many descriptors as we may: each session needs a few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _search_new_objects_only() -> None:
    """What was made for the start lives as long as the process: it need not be searched for circles again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_SEARCHED_AFTER)


def main(build: Build) -> int:
    """Run a worker on this process's standard input; the exit status."""
    if sys.platform == "linux":
        die_with_master()
    # A terminal's Ctrl-C and hang-up go to the whole group; the master decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    _allow_many_files()
    sys.setswitchinterval(_SWITCH_S)
    connection = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    connection.setblocking(False)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(Worker(build, _search_new_objects_only).run(connection))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    from homeport.daemon.app import build_app

    sys.exit(main(build_app))
