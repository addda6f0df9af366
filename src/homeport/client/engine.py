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

from homeport.client.events import Event, JobDone, JobStarted, Notify, Summary
from homeport.client.items import Item
from homeport.client.job import Job, Surroundings
from homeport.client.options import TransferOptions
from homeport.client.pool import Pool
from homeport.client.remote import Remote
from homeport.client.upload_state import UploadStates
from homeport.client.worker import Worker


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
        self._stop_asked = False

    def run(self, items: Iterable[Item]) -> Summary:
        """Do all of `items`, in no particular order; they are taken one by one as connections get free.

        Raises KeyboardInterrupt after everything was saved.
        """
        job = Job(items, self.options.retry, self.notify, self._around)
        self._job = job
        if self._stop_asked:
            job.stop()
        self.notify(JobStarted(self.options.jobs))
        try:
            self._work(job, max(1, self.options.jobs))
            while job.has_leftovers:  # an item that was left to a worker which was just going
                self._work(job, 1)
        finally:
            self._job = None
        if job.crash is not None:
            raise job.crash
        summary = job.summary()
        self.notify(JobDone(summary))
        return summary

    def stop(self) -> None:
        """End the run under way, and every later one, as soon as possible; what was received or sent is kept."""
        self._stop_asked = True
        job = self._job
        if job is not None:
            job.stop()

    def allow(self) -> None:
        """After a stop: runs are possible again."""
        self._stop_asked = False

    def notify(self, event: Event) -> None:
        """Say something on the engine's behalf, in turn with what its threads say."""
        with self._notify_lock:
            self._listener(event)

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

    def _work(self, job: Job, workers: int) -> None:
        threads = [self._thread(job, number) for number in range(workers)]
        for thread in threads:
            thread.start()
        try:
            self._attend(job, threads)
        except BaseException:
            job.stop()
            self._attend(job, threads)
            raise

    def _thread(self, job: Job, number: int) -> threading.Thread:
        worker = Worker(job, self._pool, self.options, self._states, self._origin)
        # A daemon: a connection attempt that cannot be interrupted must not keep a stopped program alive.
        return threading.Thread(target=worker.run, name=f"transfer-{number}", daemon=True)

    def _attend(self, job: Job, threads: list[threading.Thread]) -> None:
        """Until all threads are through; once the job ends, interrupt whatever they wait for."""
        while any(thread.is_alive() for thread in threads) and not job.ending.is_set():
            _join_any(threads)
        if not job.ending.is_set():
            return
        deadline = self._around.clock() + self.options.stop_within_s
        while any(thread.is_alive() for thread in threads) and self._around.clock() < deadline:
            self._pool.interrupt()
            _join_any(threads)


_LOOK_EVERY_S = 0.05


def _join_any(threads: list[threading.Thread]) -> None:
    """Wait a moment for one that still runs."""
    next(thread for thread in threads if thread.is_alive() or thread is threads[-1]).join(_LOOK_EVERY_S)
