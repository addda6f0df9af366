"""One process's leases of all accounts, and its dealings with the other processes through the database.

The one rule: nobody waits for another process while it holds something that the other waits for: before it waits, a
process gives its own balance back, and `attend` gives back what others ask for however busy the rest is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from sqlalchemy.exc import IntegrityError

from homeport.core.arbiter import Arbiter, Turn, at_once, in_thread
from homeport.core.count import Count
from homeport.core.errors import HomeUnavailable, LedgerBusy, QuotaExceeded
from homeport.core.lease_book import FIRST, Frozen, LeaseBook, Question, Recall, Short, Trade
from homeport.core.leases import NOTHING, Grant, Lease, Room
from homeport.core.ledger_times import LedgerClocks, LedgerTimes
from homeport.core.patience import be_patient
from homeport.core.processes import Processes
from homeport.core.search import Search
from homeport.core.state import Database

_log = logging.getLogger(__name__)
_SPENT = Grant(NOTHING, NOTHING, NOTHING)


class Changing:
    """The shared section around a change of one account's files; see `Ledger.changing`."""

    __slots__ = ("_lease", "_open")

    def __init__(self, lease: Lease, open_: Callable[[Lease], None]) -> None:
        self._lease = lease
        self._open = open_

    def __enter__(self) -> None:
        lease = self._lease
        with lease.lock:  # as `Lease.enter`, without the call: every change of a file passes here
            if lease.open:
                lease.inside += 1
                lease.used = True
                return
        self._open(lease)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lease = self._lease
        with lease.lock:
            lease.inside -= 1


class _Leases(dict[int, Lease]):
    """Each made when it is first asked for, and kept as long as the process lives."""

    def __missing__(self, account: int) -> Lease:
        return self.setdefault(account, Lease(account))


class Leasing:
    """The leases of this process, for all its threads. See `Ledger` for the arguments."""

    def __init__(
        self,
        database: Database,
        label: str,
        folder: Path | None,
        times: LedgerTimes,
        clocks: LedgerClocks,
    ) -> None:
        self.processes = Processes(database, label, folder, clock=clocks.wall)
        self.book = LeaseBook(database, self.processes.id)
        self.arbiter = Arbiter(self.processes.id, in_thread if times.background else at_once)
        self.times = times
        self.clocks = clocks
        self._leases = _Leases()
        self.lease: Callable[[int], Lease] = self._leases.__getitem__  # the account's, which may hold nothing
        self._sections: dict[int, Changing] = {}
        self._starting = threading.Lock()
        self._started = False
        self._thread: threading.Thread | None = None
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._next_round = self._next_beat = self._alert_until = 0.0

    def changing(self, account: int) -> Changing:
        """See `Ledger.changing`; one for all who change the account, for it keeps nothing itself."""
        return self._sections.get(account) or self._sections.setdefault(
            account, Changing(self.lease(account), self._open)
        )

    def get(
        self, lease: Lease, need: Count, aside: Count, credit: Count = NOTHING, search: Search | None = None
    ) -> Count:
        """Have `need` from the account's room, waiting for other processes while they may have it.

        With a `search` it does not wait, and notes there what was found.
        """
        if not lease.inside:
            with self.changing(lease.account):
                return self.get(lease, need, aside, credit, search)
        own_search = search
        while True:
            outcome = self._try(lease, Trade(need, credit, aside), own_search)
            if isinstance(outcome, Grant):
                return outcome.borrowed
            refusal = _exceeded(outcome.room, need)
            if own_search is None:
                own_search = Search(self, lease.account)
            own_search.note(outcome, need, credit)
            if search is not None or not own_search.goes_on(refusal):
                raise refusal

    def _try(self, lease: Lease, trade: Trade, search: Search | None) -> Grant | Short:
        question = search.question if search else FIRST
        trade = self._telling(lease, trade, question)
        with lease.exchange:
            if lease.spend(trade.need.bytes, trade.need.files, trade.aside.bytes, trade.aside.files):
                return _SPENT
            outcome = self._exchange(lease, lease.take(), trade, question)
        assert not isinstance(outcome, Frozen)
        return outcome

    def _telling(self, lease: Lease, trade: Trade, question: Question = FIRST) -> Trade:
        """The trade with the uploads of this process; always looked up before the balance is taken, see `Arbiter`."""
        rival = None if question.turn is None else self.arbiter.youngest(lease.account, besides=question.turn)
        return replace(trade, youngest=self.arbiter.youngest(lease.account), rival=rival)

    def give_back(self, lease: Lease, *, freeze: bool = False, gone: Turn | None = None) -> bool:
        """Give the whole balance back, and the account's mark too when nothing is inside: then True.

        `freeze`: let nothing begin any more, and wait to give back until nothing is inside. `gone`: an upload that
        gave way. The mark stays while uploads are under way, so that other processes can ask for them.
        """
        trade = self._telling(lease, Trade(ahead=False, gone=gone))
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
                self._exchange(lease, lease.take() if own is None else own, replace(trade, leaving=leaving))
            except HomeUnavailable:  # the account was removed, and our mark with it
                lease.take()
                lease.stop()
                lease.marked = False
                return True
            lease.marked = not leaving or lease.aside() != NOTHING or trade.youngest is not None
            return leaving

    def start(self) -> None:
        """Make this process known, and begin answering the others."""
        if not self._started:
            with self._starting:
                self._start_once()

    def _start_once(self) -> None:
        if self._started:
            return
        self.processes.register()
        self._next_beat = self.clocks.monotonic() + self.times.heartbeat_s
        if self.times.background:
            self._thread = threading.Thread(target=self._run, name="homeport-ledger", daemon=True)
            self._thread.start()
        self._started = True

    def stop(self) -> None:
        """Give everything back and leave; what is still inside `changing` is left for a recount."""
        self._stopping.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join()
        self.arbiter.forget()
        if self._started:
            self.settle()
            self.processes.close()

    def settle(self) -> None:
        """See `Ledger.settle`."""
        for lease in list(self._leases.values()):
            self.give_back(lease)

    def release_idle(self) -> None:
        """Give back the accounts in which nothing happened since the last call."""
        for lease in list(self._leases.values()):
            if lease.marked and lease.idle() and (lease.open or not self._keeps_mark(lease)):
                self.give_back(lease)

    def _keeps_mark(self, lease: Lease) -> bool:
        return lease.aside() != NOTHING or self.arbiter.youngest(lease.account) is not None

    def attend(self) -> None:
        """One round of the background's work: answer other processes, give back what is idle, show that we live."""
        now = self.clocks.monotonic()
        for recall in self.book.recalled():
            self._alert_until = now + self.times.alert_s
            self._answer(recall)
        if now >= self._next_round:
            self._next_round = now + self.times.idle_s
            self.release_idle()
        if now >= self._next_beat:
            self._next_beat = now + self.times.heartbeat_s
            self._beat()
            self.thaw()

    def _answer(self, recall: Recall) -> None:
        gone = recall.give_way
        if gone is not None and not self._has_left(recall.account, gone):
            gone = None  # all the rest is given back meanwhile
        self.give_back(self.lease(recall.account), freeze=recall.frozen, gone=gone)

    def _has_left(self, account: int, turn: Turn) -> bool:
        """Let the upload give way; whether it has."""
        limit = self.book.room(account).quota_bytes if self.arbiter.rival(account, turn) else None
        return self.arbiter.dismiss(account, turn, QuotaExceeded("bytes", limit or 0, 0, 1))

    def _beat(self) -> None:
        if not self.processes.beat():
            # Another machine took us for dead: our accounts were recounted and our leases are void.
            self.processes.register()
            self.settle()

    def thaw(self) -> None:
        """End recounts whose process died or could not end them itself."""
        for account, by in self.book.frozen_by():
            if not self.recounts(account, by):
                self.book.unfreeze(account, by)

    def _open(self, lease: Lease) -> None:
        """Begin an operation of an account that this process has no open lease of."""
        be_patient()
        self.start()
        deadline = self.clocks.monotonic() + self.times.freeze_deadline_s
        while True:
            trade = self._telling(lease, Trade(opening=True))
            with lease.exchange:
                if lease.enter():
                    return
                outcome = self._exchange(lease, lease.take(), trade)
                if not isinstance(outcome, Frozen):
                    lease.marked = True
                    lease.reopen()
                    lease.enter()
                    self._awake.set()
                    return
            self.await_recount(lease.account, outcome.by, deadline)

    def await_recount(self, account: int, by: str, deadline: float) -> None:
        """Wait a moment for a recount by another; end it when that process is dead."""
        if not self.recounts(account, by):
            self.book.unfreeze(account, by)
        elif self.clocks.monotonic() >= deadline:
            raise LedgerBusy
        else:
            self.clocks.sleep(self.times.freeze_retry_s)

    def recounts(self, account: int, by: str) -> bool:
        """Whether the recount of the account by the process `by` is really under way."""
        return self.lease(account).recount.locked() if by == self.processes.id else self.processes.alive(by)

    def _exchange(self, lease: Lease, own: Count, trade: Trade, question: Question = FIRST) -> Grant | Short | Frozen:
        try:
            return self.book.trade(lease, own, trade, question)
        except IntegrityError:
            # Another process took us for dead and removed our entry, or the account is being removed.
            self.processes.register()
            return self.book.trade(lease, lease.take(), trade, question)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not any(lease.marked for lease in list(self._leases.values())):
                self._awake.wait(self.times.heartbeat_s)
            self._awake.clear()
            try:
                self.attend()
            except Exception:  # noqa: BLE001  it is logged; without this thread other processes would wait
                _log.exception("the quota ledger could not answer other processes")
            alert = self.clocks.monotonic() < self._alert_until
            self._stopping.wait(self.times.retry_s if alert else self.times.poll_s)


def _exceeded(room: Room, need: Count) -> QuotaExceeded:
    """The error for a need that the room has no space for: bytes first."""
    free = room.free_bytes()
    if room.quota_bytes is not None and free is not None and need.bytes > free:
        return QuotaExceeded("bytes", room.quota_bytes, free, need.bytes)
    return QuotaExceeded("files", room.max_files or 0, room.free_files() or 0, need.files)
