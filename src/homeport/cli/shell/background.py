"""Transfers: in the foreground with bars, or in the background while the shell goes on.

The rule: where a transfer goes is fixed when it is typed; later `cd` and `lcd` change nothing about it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeport.cli.progress import Drawing
from homeport.cli.terminal import printable, say
from homeport.cli.transfer_items import Counter
from homeport.cli.transferring import Items, engine_for
from homeport.client.errors import ClientError, UsageError
from homeport.client.events import Event, FileFailed, JobDone, Summary

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.cli.connection_options import Moving
    from homeport.client.engine import Engine
    from homeport.client.url import RemoteUrl

MOST_JOBS = 20
_LOOK_EVERY_S = 0.2


class QuietDrawing(Drawing):
    """Only what went wrong, with the job's number; the end is told by the job itself."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def hear(self, event: Event) -> None:
        """An event of the engine."""
        self.tally.hear(event, self._clock())
        if isinstance(event, FileFailed):
            self.say(f"[{self._number}] {event.item.name}: {event.error}")
        elif isinstance(event, JobDone):
            self.say(f"[{self._number}] {self.tally.last_line(event.summary)}")


@dataclass(slots=True)
class BackgroundJob:
    """A transfer under way or done: `title` is how it was typed."""

    number: int
    title: str
    engine: Engine
    drawing: QuietDrawing
    summary: Summary | None = None
    error: ClientError | None = None
    ended: threading.Event = field(default_factory=threading.Event)  # a thread's own word is wrong after a signal

    def run(self, items: Items) -> None:
        """To its end, in the job's own thread."""
        try:
            self._do(items)
            if self.error is not None:
                say(f"[{self.number}] {printable(str(self.error))}")
        finally:
            self.ended.set()

    def _do(self, items: Items) -> None:
        try:
            with self.engine:
                self.summary = self.engine.run(Counter(self.engine).through(items(self.engine)))
            self.error = self.summary.verdict
        except ClientError as failure:
            self.error = failure

    @property
    def state(self) -> str:
        """A line for `jobs`."""
        if not self.ended.is_set():
            return self.drawing.tally.line(time.monotonic())
        if self.error is not None:
            return f"failed: {self.error}"
        if self.summary is None:
            return "ended"
        state = "stopped: " if self.summary.stopped else "done: "
        return state + self.drawing.tally.last_line(self.summary)

    @property
    def is_clean(self) -> bool:
        """Whether everything was done."""
        return self.summary is not None and self.summary.is_clean


class Jobs:
    """The transfers in the background, in the order in which they were started."""

    def __init__(self) -> None:
        self._jobs: list[BackgroundJob] = []
        self._count = 0

    def start(self, connector: Connector, url: RemoteUrl, moving: Moving, title: str, items: Items) -> BackgroundJob:
        """Begin one. Raises UsageError when there are too many."""
        if len(self.running()) >= MOST_JOBS:
            raise UsageError(f"{MOST_JOBS} transfers are under way already; `wait` for them")
        self._count += 1
        drawing = QuietDrawing(self._count)
        job = BackgroundJob(self._count, title, engine_for(connector, url, moving, drawing.hear), drawing)
        thread = threading.Thread(target=job.run, args=(items,), name=f"job-{job.number}", daemon=True)
        self._jobs = [*self.running(), *[old for old in self._jobs if old.ended.is_set()][-MOST_JOBS:], job]
        self._jobs.sort(key=lambda each: each.number)
        thread.start()
        return job

    def all(self) -> list[BackgroundJob]:
        """Those under way, and the last that ended."""
        return list(self._jobs)

    def running(self) -> list[BackgroundJob]:
        """Those under way."""
        return [job for job in self._jobs if not job.ended.is_set()]

    def find(self, number: str) -> BackgroundJob:
        """The job of that number. Raises UsageError."""
        found = [job for job in self._jobs if str(job.number) == number.lstrip("%")]
        if not found:
            raise UsageError(f"there is no job {number}; `jobs` lists them")
        return found[0]

    def wait(self, jobs: list[BackgroundJob] | None = None) -> None:
        """Until these, or all, have ended. Ctrl-C ends the waiting, not the transfers."""
        for job in self.running() if jobs is None else jobs:
            while not job.ended.wait(_LOOK_EVERY_S):
                pass

    def stop(self) -> None:
        """End all that are under way; what was transferred is kept."""
        for job in self.running():
            job.engine.stop()
        self.wait()

    def take_failure(self) -> BackgroundJob | None:
        """The first that has ended badly and was not taken before."""
        for job in self._jobs:
            if job.ended.is_set() and not job.is_clean:
                self._jobs.remove(job)
                return job
        return None
