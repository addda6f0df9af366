"""Which of an account's uploads gives way when they do not all fit: the one that began last.

Uploads that grow side by side can fill a quota with beginnings, so that none can end. The rule: an upload that finds
no room takes that of the youngest one under way, and is refused only when it is the youngest itself. Thus as many
succeed as fit. Uploads of one process are seen; those of another process only through the ledger.
"""

from __future__ import annotations

import threading
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

    def younger(self, account_id: int, rival: Rival) -> Rival | None:
        """The youngest upload of the account that began after `rival`."""
        with self._lock:
            youngest = self._rivals[account_id][-1]
            return None if youngest is rival else youngest

    def is_oldest(self, account_id: int, rival: Rival) -> bool:
        """Whether no upload of the account that is under way began before `rival`."""
        with self._lock:
            return self._rivals[account_id][0] is rival
