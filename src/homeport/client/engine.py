"""The transfer engine: several connections, one queue, and the promise that an interruption costs next to nothing.

    with Engine(dialler(url, credentials, trust, options), notify, origin="ftp://alice@host:2121") as engine:
        summary = engine.run([upload(Path("a"), "/in/a"), download("/out/b", Path("b"))])

The one rule: whatever happens, `run` comes back with a Summary; only Ctrl-C and mistakes in the program are raised.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from homeport.client.errors import ClientError
from homeport.client.events import Event, JobDone, JobStarted, Notice, Notify, Retrying, Summary
from homeport.client.items import Item, Phase
from homeport.client.job import Heard, Job, Surroundings
from homeport.client.options import TransferOptions
from homeport.client.pool import Pool
from homeport.client.remote import Remote
from homeport.client.retry import Backoff
from homeport.client.upload_state import UploadStates
from homeport.client.worker import TRIED_AGAIN, Worker

T = TypeVar("T")


class Engine:
    """Moves files over up to `options.jobs` connections, which stay open between runs until `close`.

    `notify` is called from the engine's threads, one call at a time. `origin` names server and account; unfinished
    uploads are known by it. `stop` may be called from anywhere, from a signal handler too.
    """

    def __init__(
        self,
        dial: Callable[[], Remote],
        notify: Notify,
        options: TransferOptions | None = None,
        *,
        origin: str = "",
        surroundings: Surroundings | None = None,
    ) -> None:
        self.options = options or TransferOptions()
        self._around = surroundings or Surroundings()
        self._pool = Pool(dial)
        self._listener = notify
        self._notify_lock = threading.Lock()
        self._origin = origin
        self._states = UploadStates(self.options.state_folder)
        self._job: Job | None = None
        self._stopping = threading.Event()

    def run(self, items: Iterable[Item], heard: Heard | None = None) -> Summary:
        """Do all of `items`, in no particular order; they are taken one by one as connections get free.

        Raises KeyboardInterrupt after everything was saved.
        """
        return self.run_phases([Phase(items)], heard)

    def run_phases(self, phases: Iterable[Phase], heard: Heard | None = None) -> Summary:
        """Do one phase after the other, as one job with one summary."""
        job = Job(self.options.retry, self.notify, self._around, heard)
        self.notify(JobStarted(self.options.jobs))
        self._run_job(job, phases)
        summary = job.summary()
        self.notify(JobDone(summary))
        return summary

    def inquire(self, items: Iterable[Item], heard: Heard) -> Summary:
        """Do items that move no file, listings for instance, without a word but of trouble."""
        job = Job(self.options.retry, self._notify_trouble, self._around, heard)
        self._run_job(job, [Phase(items)])
        return job.summary()

    def _run_job(self, job: Job, phases: Iterable[Phase]) -> None:
        self._job = job
        if self._stopping.is_set():
            job.stop()
        try:
            for phase in phases:
                self._run_phase(job, phase)
        except ClientError as failure:  # while a phase was put together
            job.end(failure)
        finally:
            self._job = None

    def attempt(self, act: Callable[[Remote], T]) -> T:
        """Do something with a connection, again and again as far as the retry policy allows. Raises what it raises."""
        backoff = Backoff(self.options.retry, self._around.random)
        while True:
            try:
                with self.borrow() as remote:
                    return act(remote)
            except TRIED_AGAIN as failure:
                wait = backoff.failed(self._around.clock())
                if wait is None or self._stopping.is_set():
                    raise
                self.notify(Retrying(failure, wait.delay_s, wait.attempt))
                if self._around.wait(self._stopping, wait.delay_s):
                    raise

    def stop(self) -> None:
        """End the run under way, and every later one, as soon as possible; what was received or sent is kept."""
        self._stopping.set()
        job = self._job
        if job is not None:
            job.stop()
        self._pool.interrupt()

    def allow(self) -> None:
        """After a stop: runs are possible again."""
        self._stopping.clear()

    def notify(self, event: Event) -> None:
        """Say something on the engine's behalf, in turn with what its threads say."""
        with self._notify_lock:
            self._listener(event)

    def _notify_trouble(self, event: Event) -> None:
        if isinstance(event, Retrying | Notice):
            self.notify(event)

    @contextmanager
    def borrow(self) -> Iterator[Remote]:
        """A connection for something else, a scan for instance; given back at the end. Raises what dialling raises."""
        remote = self._pool.take()
        try:
            yield remote
        finally:
            self._pool.give_back(remote)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run_phase(self, job: Job, phase: Phase) -> None:
        if job.ending.is_set():
            return
        if phase.only_if_clean and job.summary().failures:
            self.notify(Notice("something has failed, so what was to come after it is left out"))
            return
        job.feed(phase.items)
        # Threads that share one connection would only wait for each other.
        self._work(job, 1 if self._pool.does_many else max(1, self.options.jobs))
        while job.has_leftovers:  # an item that was left to a worker which was just going
            self._work(job, 1)
        if job.crash is not None:
            raise job.crash

    def _work(self, job: Job, workers: int) -> None:
        job.workers = workers
        threads = [self._thread(job, number) for number in range(workers)]
        try:
            for thread in threads:
                thread.start()
            self._attend(job, threads)
        except BaseException:
            job.stop()
            self._attend(job, [thread for thread in threads if thread.ident is not None])
            raise

    def _thread(self, job: Job, number: int) -> _WorkerThread:
        return _WorkerThread(Worker(job, self._pool, self.options, self._states, self._origin), number)

    def _attend(self, job: Job, threads: list[_WorkerThread]) -> None:
        """Until all threads are through; once the job ends, interrupt whatever they wait for."""
        while not all(thread.ended.is_set() for thread in threads) and not job.ending.is_set():
            _join_any(threads)
        if not job.ending.is_set():
            return
        deadline = self._around.clock() + self.options.stop_within_s
        while not all(thread.ended.is_set() for thread in threads) and self._around.clock() < deadline:
            self._pool.interrupt()
            _join_any(threads)


_LOOK_EVERY_S = 0.05


class _WorkerThread(threading.Thread):
    """Tells itself when it has ended: after a signal in `join`, Python 3.11 takes a running thread for ended."""

    def __init__(self, worker: Worker, number: int) -> None:
        # A daemon: a connection attempt that cannot be interrupted must not keep a stopped program alive.
        super().__init__(name=f"transfer-{number}", daemon=True)
        self.ended = threading.Event()
        self._worker = worker

    def run(self) -> None:
        try:
            self._worker.run()
        finally:
            self.ended.set()


def _join_any(threads: list[_WorkerThread]) -> None:
    """Wait a moment for one that still runs."""
    running = (thread for thread in threads if not thread.ended.is_set())
    next(running, threads[-1]).ended.wait(_LOOK_EVERY_S)
