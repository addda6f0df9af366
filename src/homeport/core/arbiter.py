"""Which of an account's uploads gives way when they do not all fit: the one that began last.

Uploads that grow side by side can fill a quota with beginnings, so that none can end. The rule: when one of several
finds no room, the youngest gives all of its room back and is refused, until there is enough or the youngest is the one
that asks. Thus as many succeed as fit, in all processes together: each tells the others of its youngest when they ask
it for room (`leases.youngest`), and lets one give way when they name it (`leases.give_way`).

An upload stays on the list until its room is back in the lease. So whoever finds no room, and looked at the list
before, never lets two give way where one is enough: naming one that has gone meanwhile changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from homeport.core.errors import QuotaExceeded

# When an upload began and in which process, as text that sorts by age: no two are equal.
Turn = str


def next_to_give_way(asking: Turn, others: Iterable[Turn | None]) -> Turn | None:
    """Which upload gives way now that `asking` found no room: the youngest, which may be `asking` itself.

    None when it is alone, so that nobody gains by it. `others` are the youngest of each process (None: it has none).
    """
    rivals = {turn for turn in others if turn is not None and turn != asking}
    return max(asking, *rivals) if rivals else None


class Rival(Protocol):
    """An upload, as the others of its account see it."""

    def give_way(self, error: QuotaExceeded) -> None:
        """Give up, give back all the room taken, and leave; `error` is what its client is told. May wait for it."""
        ...


def in_thread(act: Callable[[], None]) -> None:
    """Do it in a thread of its own."""
    threading.Thread(target=act, name="homeport-giving-way", daemon=True).start()


def at_once(act: Callable[[], None]) -> None:
    """Do it here and now."""
    act()


class Arbiter:
    """The uploads under way in the process `process_id`, by account, in the order in which they began. Thread-safe.

    `spawn` is how something is done for another process without waiting for it; `clock` gives nanoseconds.
    """

    def __init__(
        self,
        process_id: str = "",
        spawn: Callable[[Callable[[], None]], None] = in_thread,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._process_id = process_id
        self._spawn = spawn
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0
        self._rivals: dict[int, dict[Turn, Rival]] = {}
        self._asked: set[Turn] = set()
        self._searching: dict[int, threading.Lock] = {}  # of accounts that were short of room once

    def enter(self, account_id: int, rival: Rival) -> Turn:
        """An upload begins; it is younger than all before, even when the clock was set back."""
        with self._lock:
            self._last = max(self._clock(), self._last + 1)
            turn = f"{self._last:020d} {self._process_id}"
            self._rivals.setdefault(account_id, {})[turn] = rival
            return turn

    def leave(self, account_id: int, turn: Turn) -> None:
        """It has ended, or given way: its room is free or its own for good. Leaving twice does no harm."""
        with self._lock:
            rivals = self._rivals.get(account_id, {})
            rivals.pop(turn, None)
            self._asked.discard(turn)
            if not rivals:
                self._rivals.pop(account_id, None)

    def youngest(self, account_id: int, besides: Turn | None = None) -> Turn | None:
        """The account's youngest upload in this process, other than `besides`."""
        with self._lock:
            return next((turn for turn in reversed(self._rivals.get(account_id, {})) if turn != besides), None)

    def rival(self, account_id: int, turn: Turn) -> Rival | None:
        """The upload of this process that is called so, unless it has left."""
        with self._lock:
            return self._rivals.get(account_id, {}).get(turn)

    def dismiss(self, account_id: int, turn: Turn, error: QuotaExceeded) -> bool:
        """Let an upload give way to one of another process, without waiting for it; True once it has left."""
        with self._lock:
            rival = self._rivals.get(account_id, {}).get(turn)
            if rival is None:
                return True
            asked = turn in self._asked
            self._asked.add(turn)
        if not asked:
            self._spawn(partial(rival.give_way, error))
        return self.rival(account_id, turn) is None

    def forget(self) -> None:
        """The process ends, and its uploads with it."""
        with self._lock:
            self._rivals.clear()
            self._asked.clear()

    @contextmanager
    def searching(self, account_id: int) -> Iterator[None]:
        """One upload of an account at a time looks for room: the others find out faster when it has found some."""
        with self._lock:
            searching = self._searching.setdefault(account_id, threading.Lock())
        with searching:
            yield
