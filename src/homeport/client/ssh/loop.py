"""An event loop that runs only while somebody waits for it: what lets threads that block use asyncssh.

The one rule: at any moment one thread at most is inside a loop. Whoever uses a connection drives its loop, so bytes
pass no second thread on their way, and questions to the person are asked by the thread that connects. While nobody
drives, one thread for all of them looks in every few seconds, so that a server's keep-alive questions are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from homeport.client.errors import ConnectionFailed, Stalled

T = TypeVar("T")

# Who looks for a failure finds it where it is raised; without a handler Python would print warnings beside it.
for _name in ("asyncio", "asyncssh"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

LOOK_IN_EVERY_S = 5.0
GIVE_UP_WITHIN_S = 1.0
_LAST_ROUNDS = 5


class Driver:
    """One loop. `host` is for the errors' texts; `patience_s` without any progress is a stall."""

    def __init__(self, host: str, patience_s: float) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.host = host
        self.patience_s = patience_s
        self._inside = threading.Lock()
        self._interrupted = False
        self._is_driven = False
        self._timed_out = False
        _caretaker.add(self)

    @property
    def is_closed(self) -> bool:
        return self.loop.is_closed()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Within, nobody drives: for whoever touches what belongs to the loop. Raises ConnectionFailed when closed."""
        with self._inside:
            if self.loop.is_closed():
                raise self._closed()
            yield

    def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """Drive until `work` is done; what it raises is raised. It has to watch the time itself."""
        task = self.loop.create_task(work)
        task.add_done_callback(self._wake_up)
        try:
            while not task.done():
                self._turn()
        except BaseException:
            self._cancel(task)
            raise
        return task.result()

    def wait(self, is_done: Callable[[], bool]) -> None:
        """Drive until `is_done`; whatever may change the answer calls `wake`. Raises Stalled, ConnectionFailed."""
        while not is_done():
            self._refuse_if_over()
            self._timed_out = False
            alarm = self.loop.call_later(self.patience_s, self._time_out)
            try:
                self._turn()
            finally:
                alarm.cancel()
            if self._timed_out and not is_done():
                raise Stalled(f"{self.host} said nothing for {self.patience_s:.0f} s")

    def wait_long(self, is_done: Callable[[], bool]) -> None:
        """The same without an end to the patience: what is waited for may be silent as long as it likes."""
        while not is_done():
            self._turn()

    def look_in(self) -> None:
        """Do what can be done without waiting, unless somebody drives."""
        if self._inside.acquire(blocking=False):
            try:
                if not self.loop.is_closed():
                    self.loop.call_soon(self.loop.stop)
                    self.loop.run_forever()
            finally:
                self._inside.release()

    def wake(self) -> None:
        """From inside the loop: something has happened that whoever drives may wait for."""
        if self._is_driven:
            self.loop.stop()

    def interrupt(self) -> None:
        """From another thread, or a signal's handler: whoever drives gets ConnectionFailed, now and ever after."""
        self._interrupted = True
        with contextlib.suppress(RuntimeError):  # closed
            self.loop.call_soon_threadsafe(self.wake)

    def close(self) -> None:
        """End the loop; what still runs in it is cancelled."""
        with self._inside:
            if self.loop.is_closed():
                return
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=GIVE_UP_WITHIN_S))
            self.loop.run_until_complete(_a_few_rounds())
            self.loop.close()

    def _turn(self) -> None:
        """Run until somebody calls `wake`."""
        self._refuse_if_over()
        with self._inside:
            self._is_driven = True
            try:
                self.loop.run_forever()
            finally:
                self._is_driven = False
        if self._interrupted:
            raise ConnectionFailed("interrupted")

    def _refuse_if_over(self) -> None:
        if self.loop.is_closed():
            raise self._closed()
        if self._interrupted:
            raise ConnectionFailed("interrupted")

    def _closed(self) -> ConnectionFailed:
        return ConnectionFailed(f"the connection to {self.host} is closed")

    def _wake_up(self, _: object) -> None:
        self.wake()

    def _time_out(self) -> None:
        self._timed_out = True
        self.wake()

    def _cancel(self, task: asyncio.Task[T]) -> None:
        if self.loop.is_closed():
            return
        task.cancel()
        with self._inside:
            self.loop.run_until_complete(asyncio.wait({task}, timeout=GIVE_UP_WITHIN_S))


async def _a_few_rounds() -> None:
    """What was closed a moment ago gets its last calls, one after the other."""
    for _ in range(_LAST_ROUNDS):
        await asyncio.sleep(0)


class _Caretaker:
    """Looks into the loops that nobody drives."""

    def __init__(self) -> None:
        self._drivers: weakref.WeakSet[Driver] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._nothing = threading.Event()

    def add(self, driver: Driver) -> None:
        with self._lock:
            self._drivers.add(driver)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ssh-caretaker", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._nothing.wait(LOOK_IN_EVERY_S):
            with self._lock:
                drivers = list(self._drivers)
                if not drivers:
                    self._thread = None
                    return
            for driver in drivers:
                driver.look_in()
            del drivers


_caretaker = _Caretaker()
