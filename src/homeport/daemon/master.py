"""The master: keeps the workers alive, answers the control socket, obeys signals. One rule: it serves no client itself.

starting --all workers bound--> ready --TERM, INT, `stop`--> stopping --workers gone--> ended
   ^                              | |
   +------- a worker died --------+ +-- HUP, `reload`: validated first; refused, the old settings stay

Only the first start is given up when a worker cannot start; later the others serve on, and it is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import homeport
from homeport.config.listening import listening, with_ports
from homeport.config.load import load
from homeport.config.model import Settings
from homeport.config.problems import ConfigError
from homeport.config.processors import worker_count
from homeport.config.reloading import changes, effective
from homeport.core import tally
from homeport.core.audit import AuditLog
from homeport.core.audit_events import ConfigReloaded, Who
from homeport.daemon.control_server import ControlServer
from homeport.daemon.errors import ControlRefused, StartFailed
from homeport.daemon.instance import Instance
from homeport.daemon.link import LinkClosed
from homeport.daemon.notify import notify, notify_reloading
from homeport.daemon.ports import ReservedPorts
from homeport.daemon.wire import Message
from homeport.daemon.worker_process import WorkerProcess

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0
_HEALTHY_AFTER_S = 60.0
_END_TIMEOUT_S = 5.0
WORKER_MODULE = "homeport.daemon.worker"

Services = dict[str, Message]


@dataclass(frozen=True, slots=True)
class Running:
    """What a server that got ready says of itself: services, each with host and port."""

    settings: Settings
    services: Services


class Master:
    """One server. `announce` is called once, when all workers have bound."""

    def __init__(
        self,
        instance: Instance,
        settings: Settings,
        overrides: Iterable[str],
        announce: Callable[[Running], None],
        *,
        worker_module: str = WORKER_MODULE,
    ) -> None:
        self._instance = instance
        self._settings = settings  # as loaded: port 0 stays 0
        self._workers_wanted = worker_count(settings.workers)
        self._overrides = tuple(overrides)
        self._announce = announce
        self._worker_module = worker_module
        self._reserved = ReservedPorts()
        self._audit = AuditLog(instance.audit_log)
        self._workers: dict[int, WorkerProcess] = {}
        self._services: Services = {}
        self._state = "starting"
        self._failures: list[StartFailed] = []
        self._stop_asked = asyncio.Event()
        self._end_asked = asyncio.Event()
        self._all_bound = asyncio.Event()
        self._reload_lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._verbs: dict[str, Callable[[Message], Awaitable[Message]]] = {
            "status": self._status,
            "who": self._who,
            "kick": self._kick,
            "reload": self._reload,
            "stop": self._stop,
            "account-changed": self._account_changed,
            "overrides": self._tell_overrides,
            "settings": self._tell_settings,
        }

    async def run(self) -> None:
        """Serve until somebody says stop. Raises StartFailed."""
        control = ControlServer(self._instance.control_socket, self._control)
        self._reserved.reserve(listening(self._settings))
        try:
            await control.start()
            self._listen_to_signals()
            keepers = [asyncio.create_task(self._keep_worker(slot)) for slot in range(self._workers_wanted)]
            for keeper in keepers:
                keeper.add_done_callback(self._keeper_ended)
            await self._wait_until_ready()
            await self._stop_asked.wait()
            await self._stop_workers(keepers)
        finally:
            await control.close()
            for worker in self._workers.values():
                worker.kill()
            self._reserved.close()
            self._audit.close()
        if self._failures:
            raise self._failures[0]

    async def _wait_until_ready(self) -> None:
        stopped = asyncio.create_task(self._stop_asked.wait())
        bound = asyncio.create_task(self._all_bound.wait())
        await asyncio.wait([stopped, bound], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        bound.cancel()
        if self._stop_asked.is_set():
            return
        self._state = "ready"
        notify("READY=1", f"MAINPID={os.getpid()}")
        self._announce(Running(self._settings, self._services))

    # Workers

    async def _keep_worker(self, slot: int) -> None:
        """Start the worker of `slot`, and another whenever it dies; the pause between doubles while they die young."""
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while not self._stop_asked.is_set():
            started = loop.time()
            await self._run_worker(slot)
            if self._stop_asked.is_set():
                return
            if loop.time() - started >= _HEALTHY_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            await _event_or_timeout(self._stop_asked, pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        """A keeper ends when the server stops; a mistake in it must not leave a server without workers."""
        if not keeper.cancelled() and (error := keeper.exception()) is not None:
            _log.error("a worker cannot be kept alive any more", exc_info=error)
            self._ask_stop()

    async def _run_worker(self, slot: int) -> None:
        worker = self._workers[slot] = WorkerProcess(self._worker_module, self._assignment(slot))
        try:
            said = await worker.start()
        except StartFailed as error:
            worker.kill()
            self._worker_failed(error)
        else:
            # The first worker has the Unix sockets besides, so what it says is the whole.
            self._services = said["services"] | (self._services if slot else {})
            self._worker_bound()
        status = await worker.wait()
        if not self._stop_asked.is_set():
            _log.warning(
                "worker %d (process %d) ended with status %d; another one is started", slot, worker.pid, status
            )

    def _worker_failed(self, error: StartFailed) -> None:
        if self._state == "starting":  # nobody was promised anything yet: say why, and end
            self._failures.append(error)
            self._stop_asked.set()
        else:
            _log.error("a worker did not start: %s", error.reason)

    def _worker_bound(self) -> None:
        ready = sum(worker.ready for worker in self._workers.values())
        if self._state == "starting" and ready == self._workers_wanted:
            self._all_bound.set()

    def _assignment(self, slot: int) -> Message:
        return {
            "directory": str(self._instance.directory),
            "slot": slot,
            "master_pid": os.getpid(),
            "settings": self._told(self._settings),
        }

    def _told(self, settings: Settings) -> Message:
        """`settings` as workers get them: with the real ports and the real number of workers."""
        counted = settings.model_copy(update={"workers": self._workers_wanted})
        return with_ports(counted, self._reserved.ports).model_dump(mode="json")

    async def _stop_workers(self, keepers: list[asyncio.Task[None]]) -> None:
        self._state = "stopping"
        notify("STOPPING=1")
        drain_s = self._settings.drain_timeout_s
        for worker in self._workers.values():
            worker.tell("drain", {"deadline_s": drain_s})
        ended = asyncio.create_task(self._end_when_asked())
        everyone = asyncio.create_task(_all_of(keepers))
        await asyncio.wait([everyone, ended], timeout=drain_s + _END_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        for worker in self._workers.values():
            worker.tell("end")
        await asyncio.wait([everyone], timeout=1.0)
        for worker in self._workers.values():
            worker.kill()
        await everyone
        await asyncio.to_thread(tally.clear, self._instance.run)

    async def _end_when_asked(self) -> None:
        await self._end_asked.wait()

    # Signals

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_by_signal)

    def _ask_stop(self) -> None:
        """The first time: finish what is under way. The second time: at once."""
        if self._stop_asked.is_set():
            self._end_asked.set()
        self._stop_asked.set()

    def _reload_by_signal(self) -> None:
        task = asyncio.create_task(self._reload_and_log())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload_and_log(self) -> None:
        try:
            done = await self._reload({})
        except ControlRefused as error:
            _log.error("the reload was refused, the old settings stay: %s", error.text)
        else:
            _log.info("reloaded; applied: %s; needs a restart: %s", done["applied"], done["needs_restart"])

    # The control socket

    async def _control(self, request: Message) -> Message:
        verb = request.get("verb")
        handler = self._verbs.get(verb) if isinstance(verb, str) else None
        if handler is None:
            raise ControlRefused("usage", f"no such verb; there are: {', '.join(self._verbs)}")
        return await handler(request)

    async def _status(self, _: Message) -> Message:
        counts = await self._ask_all("status", patient=False)
        return {
            "state": self._state_now(),
            "version": homeport.__version__,
            "pid": os.getpid(),
            "workers": sum(worker.ready for worker in self._workers.values()),
            "sessions": sum(count["sessions"] for count in counts),
            "services": self._services,
            "worker_pids": [worker.pid for worker in self._workers.values() if worker.ready],
            "directory": str(self._instance.directory),
        }

    def _state_now(self) -> str:
        """`ready` only while all workers serve: after one died, whoever waits for ready waits for the next one."""
        missing = sum(worker.ready for worker in self._workers.values()) < self._workers_wanted
        return "starting" if self._state == "ready" and missing else self._state

    async def _who(self, _: Message) -> Message:
        return {
            "sessions": [
                session for found in await self._ask_all("who", patient=False) for session in found["sessions"]
            ]
        }

    async def _kick(self, request: Message) -> Message:
        target = _text(request, "target")
        kicked = sum(answer["kicked"] for answer in await self._ask_all("kick", {"target": target}))
        if not kicked:
            raise ControlRefused("not-found", f"no session and no account with a session is called {target!r}")
        return {"kicked": kicked}

    async def _account_changed(self, request: Message) -> Message:
        answers = await self._ask_all("account-changed", {"account_id": _number(request, "account_id")})
        return {"kicked": sum(answer["kicked"] for answer in answers)}

    async def _tell_overrides(self, _: Message) -> Message:
        return {"overrides": list(self._overrides)}

    async def _tell_settings(self, _: Message) -> Message:
        return {"settings": self._settings.model_dump(mode="json")}

    async def _stop(self, request: Message) -> Message:
        self._ask_stop()
        if request.get("now") is True:
            self._end_asked.set()
        return {"pid": os.getpid()}

    async def _reload(self, _: Message) -> Message:
        """Validate, tell the workers, and only then believe it."""
        async with self._reload_lock:
            notify_reloading()
            try:
                answer = await self._reload_validated()
            except ControlRefused as error:
                self._audit.write(ConfigReloaded(Who(), error.text))
                raise
            finally:
                notify("READY=1")
            self._audit.write(ConfigReloaded(Who()))
            return answer

    async def _reload_validated(self) -> Message:
        try:
            new = await asyncio.to_thread(load, self._instance.directory, self._overrides)
        except ConfigError as error:
            raise ControlRefused("config", str(error)) from error
        what = changes(self._settings, new)
        applied = effective(self._settings, new)
        await self._ask_all("reload", {"settings": self._told(applied)})
        self._settings = applied
        return {"applied": list(what.applied), "needs_restart": list(what.needs_restart)}

    async def _ask_all(self, verb: str, arguments: Message | None = None, *, patient: bool = True) -> list[Message]:
        """Every living worker's answer; one that dies meanwhile has none. Raises the first refusal.

        A worker that hangs is a refusal too, unless only those that answer matter (`patient=False`).
        """
        ready = [worker for worker in self._workers.values() if worker.ready]
        asked = [worker.call(verb, arguments) for worker in ready]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, TimeoutError) and patient:
                raise ControlRefused("busy", _SILENT) from answer
            if isinstance(answer, BaseException) and not isinstance(answer, LinkClosed | TimeoutError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]


_SILENT = "a worker did not answer in time; try again"


def _text(request: Message, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise ControlRefused("usage", f"{name} must be text")
    return value


def _number(request: Message, name: str) -> int:
    value = request.get(name)
    if not isinstance(value, int):
        raise ControlRefused("usage", f"{name} must be a whole number")
    return value


async def _all_of(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)


async def _event_or_timeout(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
