"""Which of an account's uploads gives way when they do not all fit: the one that began last.

Uploads that grow side by side can fill a quota with beginnings, so that none can end. The rule: when one of several
finds no room, the youngest gives all of its room back and is refused, until there is enough or the youngest is the one
that asks. Thus as many succeed as fit. Uploads of one process are seen; those of another only through the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from homeport.core.errors import QuotaExceeded


class Rival(Protocol):
    """An upload, as the others of its account see it."""

    def give_way(self, error: QuotaExceeded) -> None:
        """Give up, and give back all the room taken; `error` is what its client is told."""
        ...


class Arbiter:
    """The uploads under way in this process, by account, in the order in which they began. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rivals: dict[int, list[Rival]] = {}
        self._turns: dict[int, threading.Lock] = {}  # of accounts that were short of room once

    def enter(self, account_id: int, rival: Rival) -> None:
        """An upload begins."""
        with self._lock:
            self._rivals.setdefault(account_id, []).append(rival)

    def leave(self, account_id: int, rival: Rival) -> None:
        """It has ended, or given way; leaving twice does no harm."""
        with self._lock:
            rivals = self._rivals.get(account_id, [])
            if rival in rivals:
                rivals.remove(rival)
            if not rivals:
                self._rivals.pop(account_id, None)

    def next_to_give_way(self, account_id: int, refused: Rival) -> Rival | None:
        """Which upload of the account gives way to the older ones now that `refused` found no room: the youngest.

        That may be `refused` itself. None when it is alone, so that nobody gains by it, or has given way before.
        """
        with self._lock:
            rivals = self._rivals.get(account_id, [])
            return rivals[-1] if refused in rivals and len(rivals) > 1 else None

    @contextmanager
    def turn(self, account_id: int) -> Iterator[None]:
        """One upload of an account at a time looks for room: two would make two others give way where one is enough."""
        with self._lock:
            turn = self._turns.setdefault(account_id, threading.Lock())
        with turn:
            yield
