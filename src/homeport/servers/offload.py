"""Blocking calls away from the event loop: a bounded pool of threads, and the one decision inline or thread.

The one rule: the event loop never waits for a disk, a hash or a database; every blocking call goes through `run`.
Jobs beyond the number of threads wait in a queue, at most a few for each session, in the order in which they came; and
nobody has more than half of the threads, so that whoever hashes forty large files at once waits for himself alone.

Few of the threads work as long as they get on, for they share one interpreter: sixteen that store a small file each
hold up one another and the loop. One more takes part whenever nothing was finished for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from homeport.core.errors import WouldBlock
from homeport.servers.haste import Haste

P = ParamSpec("P")
T = TypeVar("T")

_Job = tuple["asyncio.Future[Any]", Callable[[], Any], Hashable]
_NOBODY = None
_PATIENCE_S = 0.005  # how long the first in the queue waits before one more thread takes part


class Offload:
    """Up to `max_threads` threads for one loop, started as they are needed. `name` shows in thread listings.

    `few` work at once while they get on (all without); one more does when nothing got on for `patience_s`. `haste`,
    where there is one, says when short calls run on the loop.
    """

    def __init__(
        self,
        max_threads: int,
        *,
        few: int | None = None,
        patience_s: float = _PATIENCE_S,
        name: str = "offload",
        haste: Haste | None = None,
    ) -> None:
        self.haste = haste
        self._patience_s = patience_s
        self._max_threads = max_threads
        self._few = min(few or max_threads, max_threads)
        self._allowed = self._few  # how many may work now
        self._busy = 0  # how many do
        self._queue: deque[_Job] = deque()
        self._growing = False  # a look at the queue is planned
        self._share = max(1, max_threads // 2)  # of one owner
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._held: dict[Hashable, deque[_Job]] = {}  # jobs of owners who have their share already
        self._owned: Counter[Hashable] = Counter()  # jobs of each owner that are queued or running
        self._done: deque[Callable[[], None]] = deque()
        self._wake_planned = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def crowded(self) -> bool:
        """Whether jobs wait because the threads are taken: who merely lingers should then give his thread back."""
        return bool(self._queue) or bool(self._held)

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
            if owner is not _NOBODY and self._owned[owner] >= self._share:
                self._held.setdefault(owner, deque()).append(job)
            else:
                self._owned[owner] += 1
                self._queue.append(job)
                self._hand_out()
        if self._queue:
            self._grow_later(self._loop)
        return await future

    async def run_short(self, owner: Hashable, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run_for`, for a call that takes microseconds unless the disk is slow."""
        if self.haste is not None and self.haste.allows() and not self._closed:
            try:
                return self.haste.run(call, *args, **kwargs)
            except WouldBlock:
                pass
        return await self.run_for(owner, call, *args, **kwargs)

    def close(self) -> None:
        """Take no more jobs and wait until those under way have ended. Called off the loop, or when it is idle."""
        if self._closed:
            return
        self._closed = True
        with self._lock:
            for owner, held in self._held.items():
                self._owned[owner] += len(held)
                self._queue.extend(held)
            self._held.clear()
            self._few = self._allowed = self._max_threads
            self._hand_out()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _hand_out(self) -> None:
        while self._queue and self._busy < self._allowed:
            self._busy += 1
            if self._busy > len(self._threads):
                self._start_thread()
            self._jobs.put(self._queue.popleft())

    def _grow_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._growing and self._allowed < self._max_threads:
            self._growing = True
            loop.call_later(self._patience_s, self._grow, loop, self._first())

    def _grow(self, loop: asyncio.AbstractEventLoop, waited: _Job | None) -> None:
        self._growing = False
        with self._lock:
            if self._queue and self._queue[0] is waited and not self._closed:
                self._allowed += 1
                self._hand_out()
        if self._queue:
            self._grow_later(loop)

    def _first(self) -> _Job | None:
        with self._lock:
            return self._queue[0] if self._queue else None

    def _leave(self, owner: Hashable) -> None:
        """A job of the owner has ended: the next one that is held may come."""
        held = self._held.get(owner)
        if held is not None:
            self._queue.append(held.popleft())
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
            while job is not None:
                future, call, owner = job
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - carried over to whoever awaits it
                    job = self._deliver(owner, _failure(future, error))
                else:
                    job = self._deliver(owner, _success(future, result))
                    del result
                del future, call, owner  # an idle thread keeps nothing alive

    def _deliver(self, owner: Hashable, settle: Callable[[], None]) -> _Job | None:
        """Have the loop told of a job's end; what this thread is to do next, if there is something."""
        # Results that come close together wake the loop once: a wake-up is a system call and a lock.
        with self._lock:
            self._leave(owner)
            self._done.append(settle)
            planned, self._wake_planned = self._wake_planned, True
            following = self._following()
        if not planned and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle_done)
        return following

    def _following(self) -> _Job | None:
        if self._queue and self._busy <= self._allowed:
            return self._queue.popleft()
        self._busy -= 1
        if not self._queue:
            self._allowed = self._few
        return None

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
