"""Blocking calls away from the event loop: a bounded pool of threads, and the one decision inline or thread.

The one rule: the event loop never waits for a disk, a hash or a database; every blocking call goes through `run`.
Jobs beyond the number of threads wait in a queue, at most a few for each session, in the order in which they came; and
nobody has more than half of the threads, so that whoever hashes forty large files at once waits for himself alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Job = tuple["asyncio.Future[Any]", Callable[[], Any], Hashable]
_NOBODY = None


class Offload:
    """Up to `max_threads` threads for one loop, started as they are needed. `name` shows in thread listings."""

    def __init__(self, max_threads: int, *, name: str = "offload") -> None:
        self._max_threads = max_threads
        self._share = max(1, max_threads // 2)  # of one owner
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._open = 0  # jobs that are held, queued or running
        self._held: dict[Hashable, deque[_Job]] = {}  # jobs of owners who have their share already
        self._owned: Counter[Hashable] = Counter()  # jobs of each owner that are queued or running
        self._done: deque[Callable[[], None]] = deque()
        self._wake_planned = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def crowded(self) -> bool:
        """Whether jobs wait because the threads are taken: who merely lingers should then give his thread back."""
        return self._open > self._max_threads or bool(self._held)

    @property
    def threads(self) -> int:
        """How many threads were started."""
        return len(self._threads)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `call(*args, **kwargs)` returns or raises, without holding up the loop.

        A caller that is cancelled does not stop the call: it runs to its end and its result is dropped.
        Raises RuntimeError after `close`.
        """
        return await self.run_for(_NOBODY, call, *args, **kwargs)

    async def run_for(self, owner: Hashable, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for an owner (None: nobody) who takes no more than half of all threads at once."""
        if self._closed:
            raise RuntimeError("the thread pool is closed")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = self._loop.create_future()
        job = future, lambda: call(*args, **kwargs), owner
        with self._lock:
            self._open += 1
            if owner is not _NOBODY and self._owned[owner] >= self._share:
                self._held.setdefault(owner, deque()).append(job)
            else:
                self._owned[owner] += 1
                self._queue(job)
        return await future

    def close(self) -> None:
        """Take no more jobs and wait until those under way have ended. Called off the loop, or when it is idle."""
        if self._closed:
            return
        self._closed = True
        with self._lock:
            for owner, held in self._held.items():
                self._owned[owner] += len(held)
                for job in held:
                    self._queue(job)
            self._held.clear()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _queue(self, job: _Job) -> None:
        if self._open > len(self._threads) and len(self._threads) < self._max_threads:
            self._start_thread()
        self._jobs.put(job)

    def _leave(self, owner: Hashable) -> None:
        """A job of the owner has ended: the next one that is held may come."""
        held = self._held.get(owner)
        if held is not None:
            self._queue(held.popleft())
            if not held:
                del self._held[owner]
            return
        self._owned[owner] -= 1
        if not self._owned[owner]:
            del self._owned[owner]

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call, owner = job
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - carried over to whoever awaits it
                self._deliver(owner, _failure(future, error))
            else:
                self._deliver(owner, _success(future, result))
            del job, future, call, owner  # an idle thread keeps nothing alive

    def _deliver(self, owner: Hashable, settle: Callable[[], None]) -> None:
        # Results that come close together wake the loop once: a wake-up is a system call and a lock.
        with self._lock:
            self._open -= 1
            self._leave(owner)
            self._done.append(settle)
            planned, self._wake_planned = self._wake_planned, True
        if not planned and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._settle_done)
            except RuntimeError:
                return  # the loop has been closed: nobody waits any more

    def _settle_done(self) -> None:
        with self._lock:
            done, self._done = self._done, deque()
            self._wake_planned = False
        for settle in done:
            settle()


def _success(future: asyncio.Future[T], result: T) -> Callable[[], None]:
    def settle() -> None:
        if not future.done():
            future.set_result(result)

    return settle


def _failure(future: asyncio.Future[T], error: BaseException) -> Callable[[], None]:
    def settle() -> None:
        if not future.done():
            future.set_exception(error)

    return settle
