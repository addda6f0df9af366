"""The quota ledger: what every account uses, to the byte, in all processes at once.

The one rule: bytes and entries are charged before they reach the disk and refunded after they have left it, inside
`changing`, so that no moment and no crash lets an account pass its limit. Each process spends from leases that it took
from the database beforehand; whoever runs short has the others give back what they do not need.

Amounts are physical: the bytes and entries of the home and of the stages. A file being replaced lies there twice for
a while: `charge` may borrow the room of the old one (`credit`), which `repay` pays when the old one goes.

A process that dies leaves its leases as marks of the accounts that it may have been changing; `recover` recounts those.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from homeport.core.arbiter import Turn
from homeport.core.count import Count
from homeport.core.errors import HomeportError, LedgerBusy
from homeport.core.lease_book import Recount
from homeport.core.leases import NOTHING
from homeport.core.leasing import Changing, Leasing
from homeport.core.ledger_times import LedgerClocks, LedgerTimes
from homeport.core.patience import be_patient
from homeport.core.search import Search
from homeport.core.state import Database

__all__ = ["Borrowed", "Changing", "Ledger", "LedgerClocks", "LedgerTimes", "Recount", "Usage"]

Borrowed = Count

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account uses and may use; None: no limit."""

    used_bytes: int
    used_files: int
    quota_bytes: int | None
    max_files: int | None


class Ledger:
    """One process's ledger, for all its threads; accounts are named by their id.

    `label` names the process to people; `folder` is where processes of one machine keep their lock files. A thread
    begins with the first change and ends with `close`; `times.background=False` leaves its work to calls of `attend`.
    An account that does not exist (any more) is HomeUnavailable; a database that fails is StateUnavailable.
    """

    def __init__(
        self,
        database: Database,
        label: str,
        folder: Path | None = None,
        *,
        times: LedgerTimes | None = None,
        clocks: LedgerClocks | None = None,
    ) -> None:
        self._leasing = Leasing(database, label, folder, times or LedgerTimes(), clocks or LedgerClocks())
        self._times = self._leasing.times
        self._clocks = self._leasing.clocks
        self._book = self._leasing.book
        self.processes = self._leasing.processes
        self.arbiter = self._leasing.arbiter
        self._lease = self._leasing.lease
        self._get = self._leasing.get
        self.at_once = Search(self._leasing, 0)  # for charges that are to be refused at once; it never goes on

    # What servers' threads call.

    def changing(self, account: int) -> Changing:
        """A context manager around every change of the account's files, together with its charges; do not nest it.

        Waits while the account is recounted; LedgerBusy when that takes too long.
        """
        return self._leasing.changing(account)

    def charge(
        self,
        account: int,
        bytes: int = 0,  # noqa: A002  the unit is the name
        files: int = 0,
        *,
        credit_bytes: int = 0,
        credit_files: int = 0,
        held_bytes: int = 0,
        held_files: int = 0,
        search: Search | None = None,
    ) -> Borrowed:
        """Charge what is about to be written.

        The held part comes from what the caller holds. For what there is no room now it borrows, up to the credit:
        what the caller will free soon. Raises QuotaExceeded, and then nothing is charged: with a `search`
        at once, without one after it waited for what other processes hold.
        """
        lease = self._lease(account)
        if lease.inside and not held_bytes and not held_files and lease.spend(bytes, files):
            return NOTHING
        be_patient()
        held = Count(held_bytes, held_files)
        return self._get(lease, Count(bytes, files) - held, NOTHING - held, Count(credit_bytes, credit_files), search)

    def spend(self, account: int, bytes: int, files: int) -> bool:  # noqa: A002
        """Charge what is about to be written from what this process has; False where it has not so much."""
        lease = self._lease(account)
        return lease.inside > 0 and lease.spend(bytes, files)

    def search(self, account: int, turn: Turn | None = None) -> Search:
        """How a refused charge of the account goes on, with `turn` for an upload; see `Search`."""
        return Search(self._leasing, account, turn)

    def refund(self, account: int, bytes: int = 0, files: int = 0) -> None:  # noqa: A002
        """Give back what is not on the disk any more."""
        lease = self._lease(account)
        if lease.inside:
            lease.spend(-bytes, -files)
        else:
            self._get(lease, Count(-bytes, -files), NOTHING)

    def repay(self, account: int, borrowed: Borrowed, *, refund_bytes: int = 0, refund_files: int = 0) -> None:
        """Charge what was borrowed, and refund in the same moment what it was borrowed against.

        A refund of as much never fails. With less: raises QuotaExceeded if nobody has the room, with nothing changed.
        """
        self._get(self._lease(account), borrowed - Count(refund_bytes, refund_files), borrowed)

    def hold(
        self,
        account: int,
        bytes: int = 0,  # noqa: A002
        files: int = 0,
        *,
        credit_bytes: int = 0,
        credit_files: int = 0,
    ) -> Borrowed:
        """Keep room for later, which no other can take; borrows as `charge` does, and raises QuotaExceeded."""
        lease = self._lease(account)
        if lease.inside and lease.spend(bytes, files, bytes, files):
            return NOTHING
        held = Count(bytes, files)
        return self._get(lease, held, held, Count(credit_bytes, credit_files))

    def use(self, account: int, bytes: int = 0, files: int = 0) -> None:  # noqa: A002
        """What was held counts on the disk now; called inside `changing`."""
        self._lease(account).spend(0, 0, -bytes, -files)

    def release(self, account: int, bytes: int = 0, files: int = 0) -> None:  # noqa: A002
        """Give back room that was held and not used."""
        self._get(self._lease(account), Count(-bytes, -files), Count(-bytes, -files))

    def usage(self, account: int) -> Usage:
        """What the account uses; what other processes do right now is in it after a second at most, or `recall`."""
        lease = self._lease(account)
        with lease.exchange:
            room = self._book.room(account)
            used = room.used - lease.balance()
        return Usage(max(0, used.bytes), max(0, used.files), room.quota_bytes, room.max_files)

    # What administration and the daemon call.

    def recall(self, account: int) -> bool:
        """Have all processes give back what they do not need; whether all have answered in time."""
        self._leasing.give_back(self._lease(account))
        self._book.recall(account)
        deadline = self._clocks.monotonic() + self._times.recall_deadline_s
        while any(map(self.processes.alive, self._book.unanswered(account))):
            if self._clocks.monotonic() >= deadline:
                return False
            self._clocks.sleep(self._times.retry_s)
        return True

    def limits_changed(self, account: int) -> None:
        """Make new limits of the account hold at once."""
        self.recall(account)

    def settle(self) -> None:
        """Give back to the database all that this process has not spent."""
        self._leasing.settle()

    def release_idle(self) -> None:
        """Give back the accounts in which nothing happened since the last call; the background does so by itself."""
        self._leasing.release_idle()

    def recount(self, account: int, count: Callable[[], Count]) -> Recount:
        """Stop all changes of the account's files, count them, and make that the truth.

        Raises LedgerBusy when changes under way do not end in time, and what `count` raises; then nothing changes.
        """
        recount = self._recount(account, count, lambda: True)
        assert recount is not None
        return recount

    def recover(self, count_of: Callable[[int], Count]) -> list[Recount]:
        """Recount the accounts that dead processes may have been changing; all accounts after the machine failed.

        An account that cannot be counted now is logged and stays marked for the next time.
        """
        dead = self.processes.dead()
        self._leasing.thaw()
        rebooted = [process for process, restarted in dead.items() if restarted]
        recounts: list[Recount] = []
        forgettable = list(dead)
        for account in self._book.everybody() if rebooted else self._book.leased_by(dead):
            needed = partial(self._needs_recount, account, dead, rebooted)
            try:
                recount = self._recount(account, partial(count_of, account), needed)
            except HomeportError as error:
                _log.warning("account %d cannot be recounted now: %s", account, error)
                forgettable = [process for process in dead if process not in rebooted]
            else:
                recounts += [recount] if recount else []
        self.processes.forget(forgettable)
        return recounts

    def attend(self) -> None:
        """One round of the background's work: answer other processes, give back what is idle, show that we live."""
        self._leasing.attend()

    def close(self) -> None:
        """Give everything back and leave; what is still inside `changing` is left for a recount."""
        self._leasing.stop()

    def _needs_recount(self, account: int, dead: Collection[str], rebooted: list[str]) -> bool:
        """Whether no other process has recounted it meanwhile."""
        return bool(rebooted) or account in self._book.leased_by(dead)

    def _recount(self, account: int, count: Callable[[], Count], needed: Callable[[], bool]) -> Recount | None:
        """A recount, unless it is no longer needed once nobody else is at it."""
        self._leasing.start()
        mutex = self._lease(account).recount
        if not mutex.acquire(timeout=self._times.freeze_deadline_s):
            raise LedgerBusy
        try:
            return self._freeze_and_count(account, count, needed)
        finally:
            mutex.release()

    def _freeze_and_count(
        self,
        account: int,
        count: Callable[[], Count],
        needed: Callable[[], bool],
    ) -> Recount | None:
        deadline = self._clocks.monotonic() + self._times.freeze_deadline_s
        while frozen := self._book.freeze(account):
            self._leasing.await_recount(account, frozen.by, deadline)
        try:
            dead = self._await_quiet(account, deadline)
            return self._book.finish(account, count(), self._clocks.wall(), dead) if needed() else None
        finally:
            self._book.unfreeze(account, self.processes.id)  # after `finish` this changes nothing

    def _await_quiet(self, account: int, deadline: float) -> list[str]:
        """Wait until nobody changes the account's files; the dead processes among those who do not answer."""
        lease = self._lease(account)
        while True:
            left = self._leasing.give_back(lease, freeze=True)
            silent = self._book.unanswered(account)
            dead = [process for process in silent if not self.processes.alive(process)]
            if left and len(dead) == len(silent):
                return dead
            if self._clocks.monotonic() >= deadline:
                raise LedgerBusy
            self._clocks.sleep(self._times.freeze_retry_s)
