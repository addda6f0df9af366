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
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from sqlalchemy.exc import IntegrityError

from homeport.core.count import Count
from homeport.core.errors import HomeportError, HomeUnavailable, LedgerBusy, QuotaExceeded
from homeport.core.lease_book import Frozen, LeaseBook, Recount, Short, Trade
from homeport.core.leases import NOTHING, Grant, Lease, Room
from homeport.core.processes import Processes
from homeport.core.state import Database

__all__ = ["Borrowed", "Ledger", "LedgerTimes", "Recount", "Usage"]

Borrowed = Count

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LedgerTimes:
    """How long the ledger waits, in seconds."""

    recall_deadline_s: float = 2.0  # for others to give back what they do not need
    freeze_deadline_s: float = 30.0  # for a recount to end, or for changes to end that a recount waits for
    retry_s: float = 0.005
    poll_s: float = 0.04  # how soon this process answers others
    idle_s: float = 1.0  # an account without changes for one to two times this is given back whole
    heartbeat_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account uses and may use; None: no limit."""

    used_bytes: int
    used_files: int
    quota_bytes: int | None
    max_files: int | None


class Changing:
    """The shared section around a change of one account's files; see `Ledger.changing`."""

    __slots__ = ("_lease", "_open")

    def __init__(self, lease: Lease, open_: Callable[[Lease], None]) -> None:
        self._lease = lease
        self._open = open_

    def __enter__(self) -> None:
        if not self._lease.enter():
            self._open(self._lease)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lease.leave()


class Ledger:
    """One process's ledger, for all its threads; accounts are named by their id.

    `label` names the process to people; `folder` is where processes of one machine keep their lock files. A thread
    begins with the first change and ends with `close`; `background=False` leaves its work to calls of `attend`.
    An account that does not exist (any more) is HomeUnavailable; a database that fails is StateUnavailable.
    """

    def __init__(
        self,
        database: Database,
        label: str,
        folder: Path | None = None,
        *,
        times: LedgerTimes | None = None,
        background: bool = True,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.processes = Processes(database, label, folder, clock=clock)
        self._book = LeaseBook(database, self.processes.id)
        self._times = times or LedgerTimes()
        self._background = background
        self._sleep = sleep
        self._monotonic = monotonic
        self._clock = clock
        self._leases: dict[int, Lease] = {}
        self._recounting: set[int] = set()
        self._starting = threading.Lock()
        self._started = False
        self._thread: threading.Thread | None = None
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._next_round = self._next_beat = 0.0

    # What servers' threads call.

    def changing(self, account: int) -> Changing:
        """A context manager around every change of the account's files, together with its charges; do not nest it.

        Waits while the account is recounted; LedgerBusy when that takes too long.
        """
        return Changing(self._lease(account), self._open)

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
    ) -> Borrowed:
        """Charge what is about to be written.

        The held part comes from what the caller holds. For what there is no room now it borrows, up to the credit:
        what the caller will free soon. Raises QuotaExceeded, and then nothing is charged.
        """
        lease = self._lease(account)
        if lease.inside and not held_bytes and not held_files and lease.spend(bytes, files):
            return NOTHING
        held = Count(held_bytes, held_files)
        return self._get(lease, Count(bytes, files) - held, NOTHING - held, Count(credit_bytes, credit_files))

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

    def hold(self, account: int, bytes: int = 0, files: int = 0) -> None:  # noqa: A002
        """Keep room for later, which no other can take; raises QuotaExceeded."""
        self._get(self._lease(account), Count(bytes, files), Count(bytes, files))

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
        self._give_back(self._lease(account))
        self._book.recall(account)
        deadline = self._monotonic() + self._times.recall_deadline_s
        while any(map(self.processes.alive, self._book.unanswered(account))):
            if self._monotonic() >= deadline:
                return False
            self._sleep(self._times.retry_s)
        return True

    def limits_changed(self, account: int) -> None:
        """Make new limits of the account hold at once."""
        self.recall(account)

    def settle(self) -> None:
        """Give back to the database all that this process has not spent."""
        for lease in list(self._leases.values()):
            self._give_back(lease)

    def release_idle(self) -> None:
        """Give back the accounts in which nothing happened since the last call."""
        for lease in list(self._leases.values()):
            if lease.marked and lease.idle():
                self._give_back(lease)

    def recount(self, account: int, count: Callable[[], Count]) -> Recount:
        """Stop all changes of the account's files, count them, and make that the truth.

        Raises LedgerBusy when changes under way do not end in time, and what `count` raises; then nothing changes.
        """
        return self._recount(account, count, lambda: True) or Recount(account, NOTHING, NOTHING)

    def recover(self, count_of: Callable[[int], Count]) -> list[Recount]:
        """Recount the accounts that dead processes may have been changing; all accounts after the machine failed.

        An account that cannot be counted now is logged and stays marked for the next time.
        """
        dead = self.processes.dead()
        for account, by in self._book.frozen_by():
            if not self._recounts(account, by):
                self._book.unfreeze(account, by)
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
        for account, frozen in self._book.recalled():
            self._give_back(self._lease(account), freeze=frozen)
        now = self._monotonic()
        if now >= self._next_round:
            self._next_round = now + self._times.idle_s
            self.release_idle()
        if now >= self._next_beat:
            self._next_beat = now + self._times.heartbeat_s
            self.processes.beat()

    def close(self) -> None:
        """Give everything back and leave; what is still inside `changing` is left for a recount."""
        self._stopping.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join()
        if self._started:
            self.settle()
            self.processes.close()

    # Within.

    def _lease(self, account: int) -> Lease:
        return self._leases.get(account) or self._leases.setdefault(account, Lease(account))

    def _get(self, lease: Lease, need: Count, aside: Count, credit: Count = NOTHING) -> Borrowed:
        """Have `need` from the account's room, waiting for other processes while they may have it."""
        if not lease.inside:
            with self.changing(lease.account):
                return self._get(lease, need, aside, credit)
        deadline: float | None = None
        while True:
            with lease.exchange:
                if lease.spend(need.bytes, need.files, aside.bytes, aside.files):
                    return NOTHING
                trade = Trade(need, credit, aside)
                outcome = self._exchange(lease, lease.take(), trade, asked=deadline is not None)
            if isinstance(outcome, Grant):
                return outcome.borrowed
            assert isinstance(outcome, Short)
            now = self._monotonic()
            deadline = now + self._times.recall_deadline_s if deadline is None else deadline
            if not outcome.waiting or now >= deadline:
                raise _exceeded(outcome.room, need)
            self._sleep(self._times.retry_s)

    def _open(self, lease: Lease) -> None:
        """Begin an operation of an account that this process has no open lease of."""
        self._start()
        deadline = self._monotonic() + self._times.freeze_deadline_s
        while True:
            with lease.exchange:
                if lease.enter():
                    return
                outcome = self._exchange(lease, lease.take(), Trade(opening=True))
                if not isinstance(outcome, Frozen):
                    lease.marked = True
                    lease.reopen()
                    lease.enter()
                    self._awake.set()
                    return
            self._await_recount(lease.account, outcome.by, deadline)

    def _await_recount(self, account: int, by: str, deadline: float) -> None:
        """Wait a moment for a recount by another; end it when that process is dead."""
        if not self._recounts(account, by):
            self._book.unfreeze(account, by)
        elif self._monotonic() >= deadline:
            raise LedgerBusy
        else:
            self._sleep(self._times.retry_s)

    def _recounts(self, account: int, by: str) -> bool:
        return account in self._recounting if by == self.processes.id else self.processes.alive(by)

    def _exchange(self, lease: Lease, own: Count, trade: Trade, *, asked: bool = False) -> Grant | Short | Frozen:
        try:
            return self._book.trade(lease, own, trade, asked=asked)
        except IntegrityError:
            # Another process took us for dead and removed our entry, or the account is being removed.
            self.processes.register()
            return self._book.trade(lease, lease.take(), trade, asked=asked)

    def _give_back(self, lease: Lease, *, freeze: bool = False) -> bool:
        """Give the whole balance back, and the account's mark too when nothing is inside: then True.

        `freeze`: let nothing begin any more, and wait to give back until nothing is inside.
        """
        with lease.exchange:
            if not lease.marked:
                return True
            if freeze:
                lease.stop()
            own = lease.close()
            if own is None and freeze:
                return False
            leaving = own is not None
            try:
                self._exchange(lease, lease.take() if own is None else own, Trade(ahead=False, leaving=leaving))
            except HomeUnavailable:  # the account was removed, and our mark with it
                lease.take()
                lease.stop()
                lease.marked = False
                return True
            lease.marked = not leaving or lease.aside() != NOTHING
            return leaving

    def _needs_recount(self, account: int, dead: Collection[str], rebooted: list[str]) -> bool:
        """Whether no other process has recounted it meanwhile."""
        return bool(rebooted) or account in self._book.leased_by(dead)

    def _recount(self, account: int, count: Callable[[], Count], needed: Callable[[], bool]) -> Recount | None:
        self._start()
        deadline = self._monotonic() + self._times.freeze_deadline_s
        while frozen := self._book.freeze(account):
            self._await_recount(account, frozen.by, deadline)
        self._recounting.add(account)
        try:
            dead = self._await_quiet(account, deadline)
            return self._book.finish(account, count(), self._clock(), dead) if needed() else None
        finally:
            self._recounting.discard(account)
            self._book.unfreeze(account, self.processes.id)  # finish has done so, all other ways out have not

    def _await_quiet(self, account: int, deadline: float) -> list[str]:
        """Wait until nobody changes the account's files; the dead processes among those who do not answer."""
        lease = self._lease(account)
        while True:
            left = self._give_back(lease, freeze=True)
            silent = self._book.unanswered(account)
            dead = [process for process in silent if not self.processes.alive(process)]
            if left and len(dead) == len(silent):
                return dead
            if self._monotonic() >= deadline:
                raise LedgerBusy
            self._sleep(self._times.retry_s)

    def _start(self) -> None:
        """Make this process known, and begin the background's work."""
        if self._started:
            return
        with self._starting:
            if self._started:
                return
            self.processes.register()
            self._next_beat = self._monotonic() + self._times.heartbeat_s
            if self._background:
                self._thread = threading.Thread(target=self._run, name="homeport-ledger", daemon=True)
                self._thread.start()
            self._started = True

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not any(lease.marked for lease in list(self._leases.values())):
                self._awake.wait(self._times.heartbeat_s)
            self._awake.clear()
            try:
                self.attend()
            except Exception:  # noqa: BLE001  it is logged; without this thread other processes would wait
                _log.exception("the quota ledger could not answer other processes")
            self._stopping.wait(self._times.poll_s)


def _exceeded(room: Room, need: Count) -> QuotaExceeded:
    """The error for a need that the room has no space for: bytes first."""
    free = room.free_bytes()
    if room.quota_bytes is not None and free is not None and need.bytes > free:
        return QuotaExceeded("bytes", room.quota_bytes, free, need.bytes)
    return QuotaExceeded("files", room.max_files or 0, room.free_files() or 0, need.files)
