"""What the threads of one run share: the queue, the counters, the backoff, and how it ends.

The one rule: every decision that involves more than one connection is made here, under one lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import SystemRandom
from time import monotonic

from homeport.client.errors import ClientError
from homeport.client.events import Failure, FileDone, FileFailed, Notify, Retrying, Summary
from homeport.client.items import Item
from homeport.client.retry import Backoff, RetryPolicy
from homeport.client.task import Outcome

Heard = Callable[[Item, Outcome], None]
"""Hears how each item that went well went; called from the engine's threads."""


def _wait(event: threading.Event, seconds: float) -> bool:
    return event.wait(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Time and chance, for tests to replace. `wait` sleeps until the event is set (True) or the seconds are over."""

    clock: Callable[[], float] = monotonic
    wait: Callable[[threading.Event, float], bool] = _wait
    random: Callable[[], float] = SystemRandom().random


class Job:
    """One run of the engine. Used by all its threads."""

    def __init__(self, policy: RetryPolicy, notify: Notify, around: Surroundings, heard: Heard | None = None) -> None:
        self.policy = policy
        self.around = around
        self.notify = notify
        self.ending = threading.Event()
        self.crash: BaseException | None = None
        self.workers = 1  # threads, which share what the process may have open
        self._source: Iterator[Item] = iter(())
        self._heard = heard
        self._source_lock = threading.Lock()
        self._again: deque[Item] = deque()
        self._backoff = Backoff(policy, around.random)
        self._lock = threading.RLock()  # a signal handler may stop it in the middle
        self._connected = 0
        self._began = around.clock()
        self._done = self._complete = self._bytes = 0
        self._failures: list[Failure] = []
        self._error: ClientError | None = None
        self._stopped = False

    # --- the queue ---

    def feed(self, items: Iterable[Item]) -> None:
        """The next phase; nothing of the one before is left."""
        self._source = iter(items)

    def next_item(self) -> Item | None:
        """The next thing to do; None when there is nothing left or the job ends. Blocks while the scan looks on."""
        with self._lock:
            if self._again and not self.ending.is_set():
                return self._again.popleft()
        with self._source_lock:
            if self.ending.is_set():
                return None
            try:
                return next(self._source, None)
            except ClientError as failure:  # the scan
                self.end(failure)
                return None

    def connected(self) -> None:
        """A worker has a connection."""
        with self._lock:
            self._connected += 1

    def disconnected(self) -> None:
        """A worker has none any more."""
        with self._lock:
            self._connected -= 1

    def leave_to_others(self, item: Item) -> bool:
        """Whether others have connections and take `item` over: then a worker that gets none can go."""
        with self._lock:
            if self._connected > 0:
                self._again.append(item)
                return True
            return False

    @property
    def has_leftovers(self) -> bool:
        """Whether something was left to others who are gone."""
        with self._lock:
            return bool(self._again) and not self.ending.is_set()

    # --- how it goes ---

    def moved(self, amount: int, lasting: bool = True) -> None:
        """Bytes have come through; `lasting` ones are progress. Else a peer that always cuts was asked for ever."""
        with self._lock:
            self._bytes += amount
        if lasting:
            self._backoff.progressed()

    def done(self, item: Item, outcome: Outcome) -> None:
        with self._lock:
            self._done += 1
            self._complete += outcome.already_complete
        self._backoff.progressed()
        if self._heard is not None:
            self._heard(item, outcome)
        self.notify(FileDone(item, outcome.size, outcome.already_complete, outcome.verified))

    def failed(self, item: Item, error: ClientError) -> None:
        """One item failed for good."""
        with self._lock:
            self._failures.append(Failure(item, error))
        self._backoff.progressed()  # the server has answered: it is not the connection
        self.notify(FileFailed(item, error))

    def wait_to_retry(self, error: ClientError) -> bool:
        """After a failed try: True when the next may begin; False when it was the last one, or the job ends."""
        wait = self._backoff.failed(self.around.clock())
        if wait is None:
            self.end(error)
            return False
        self.notify(Retrying(error, wait.delay_s, wait.attempt))
        return not self.around.wait(self.ending, wait.delay_s)

    # --- how it ends ---

    def end(self, error: ClientError) -> None:
        """The whole job ends with this error, unless it has already."""
        with self._lock:
            if not self.ending.is_set():
                self._error = error
                self.ending.set()

    def stop(self) -> None:
        """Somebody asked for it."""
        with self._lock:
            self._stopped = self._stopped or not self.ending.is_set()
            self.ending.set()

    def crashed(self, failure: BaseException) -> None:
        """A mistake in the program, to be raised again where the job was started."""
        with self._lock:
            self.crash = self.crash or failure
            self.ending.set()

    def summary(self) -> Summary:
        seconds = self.around.clock() - self._began
        with self._lock:
            return Summary(
                self._done,
                self._complete,
                self._bytes,
                seconds,
                tuple(self._failures),
                self._error,
                self._stopped,
            )
