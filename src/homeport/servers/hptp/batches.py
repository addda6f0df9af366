"""Short calls of the core, many at a time: one hop to a thread for all that came meanwhile.

The one rule: a job waits for no other client and computes little, for those behind it wait for it; and uploads that a
batch has sealed are made to last together, with one wait for all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from homeport.core.home import Home
from homeport.core.transfer import Upload
from homeport.servers.offload import Offload

Job = Callable[[Home], Any]
"""Returns its result, or a sealed Upload, whose result is then the Stored of the common commit; or raises."""

Done = Callable[[Any], None]
"""Gets the job's result, or the exception that it raised."""

_MOST_JOBS = 256
_AT_ONCE = 2  # batches of one session: while one waits for the disk, the next is written


class Batches:
    """One session's short calls. For the event loop's thread; `settled` is called after the answers of each batch."""

    def __init__(self, home: Home, files: Offload, owner: Hashable, settled: Callable[[], None]) -> None:
        self._home = home
        self._files = files
        self._owner = owner
        self._settled = settled
        self._waiting: deque[tuple[Job, Done]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    def add(self, job: Job, done: Done) -> None:
        """Have `job` done soon, in a thread, and `done` called on the loop."""
        self._waiting.append((job, done))
        if len(self._running) < _AT_ONCE and len(self._waiting) == 1:
            # When everything that came in this turn of the loop has been added.
            asyncio.get_running_loop().call_soon(self._start)

    async def close(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._closed = True
        self._waiting.clear()
        while self._running:
            await asyncio.wait(self._running)

    def _start(self) -> None:
        if self._waiting and len(self._running) < _AT_ONCE and not self._closed:
            most = min(_MOST_JOBS, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(most)]
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        task.result()
        self._start()

    async def _run(self, batch: Sequence[tuple[Job, Done]]) -> None:
        outcomes = await self._files.run_for(self._owner, _work, self._home, [job for job, _ in batch])
        for (_, done), outcome in zip(batch, outcomes, strict=True):
            done(outcome)  # also when nobody waits any more: what was opened is closed by whoever asked for it
        self._settled()


def _work(home: Home, jobs: Sequence[Job]) -> list[Any]:
    outcomes: list[Any] = []
    sealed: list[tuple[int, Upload]] = []
    for number, job in enumerate(jobs):
        try:
            outcome = job(home)
        except Exception as error:  # noqa: BLE001 - carried over to whoever asked
            outcome = error
        if isinstance(outcome, Upload):
            sealed.append((number, outcome))
        outcomes.append(outcome)
    if sealed:
        stored = home.commit_together([upload for _, upload in sealed])
        for (number, _), outcome in zip(sealed, stored, strict=True):
            outcomes[number] = outcome
    return outcomes
