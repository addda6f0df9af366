"""How a charge that finds no room goes on: it waits for what others hold, then for a younger upload to give way.

The rule: nobody waits for what cannot come. A process that has answered holds nothing more than it needs, a dead one
does not answer; and while a younger upload lives in any process, an older one is not refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from homeport.core.arbiter import Arbiter, Turn
from homeport.core.count import Count
from homeport.core.errors import QuotaExceeded
from homeport.core.lease_book import LeaseBook, Question, Short
from homeport.core.leases import NOTHING
from homeport.core.ledger_times import LedgerClocks, LedgerTimes
from homeport.core.processes import Processes

_ANSWER_S = 0.1  # a living process answers sooner; only then is it asked whether the silent ones live


class Dealings(Protocol):
    """What a search needs of its process's Leasing."""

    processes: Processes
    book: LeaseBook
    arbiter: Arbiter
    times: LedgerTimes
    clocks: LedgerClocks


class Search:
    """One need's way from the first refusal to room or the last. `turn` names the upload that needs the room, if any.

    Used by one thread at a time. `note` is told what every attempt found, `goes_on` then says whether to try again.
    """

    def __init__(self, leasing: Dealings, account: int, turn: Turn | None = None) -> None:
        self.question = Question(turn=turn)
        self._leasing = leasing
        self._account = account
        self._turn = turn
        self._failure: _Failure | None = None
        now = leasing.clocks.monotonic()
        self._recountable_until = now + leasing.times.recall_deadline_s
        self._deadline = now + self._patience_s()
        self._look_at = now + _ANSWER_S

    def note(self, short: Short, need: Count, credit: Count) -> None:
        """An attempt to get `need`, of which `credit` could be borrowed, failed."""
        self._failure = _Failure(short, need, credit)

    def goes_on(self, refusal: QuotaExceeded) -> bool:
        """Wait a moment, or until another upload has given way, and say whether it makes sense to try again.

        When the upload that searches is the youngest, it has given way when this returns False.
        """
        failure, self._failure = self._failure, None
        if failure is None:  # it was refused for another reason
            return False
        if failure.short.waiting:
            return self._wait(failure)
        return failure.short.victim is not None and self._dismiss(failure.short.victim, refusal)

    def _patience_s(self) -> float:
        times = self._leasing.times
        return times.recall_deadline_s if self._turn is None else times.giving_way_deadline_s

    def _wait(self, failure: _Failure) -> bool:
        now = self._leasing.clocks.monotonic()
        victim = failure.short.victim
        if victim is not None and victim != self.question.victim:
            self._deadline = now + self._patience_s()
        if now >= self._deadline:
            return False
        self.question = replace(self.question, asked=True, victim=victim)
        if now >= self._look_at:
            self._look_at = now + _ANSWER_S
            self._forget_dead(failure, now)
        self._leasing.clocks.sleep(self._leasing.times.retry_s)
        return True

    def _forget_dead(self, failure: _Failure, now: float) -> None:
        """Wait no longer for the dead, unless what they leave would do and a recount can bring it back in a moment.

        No recount can while something is inside `changing`, as everybody is who waits here, uploads excepted.
        """
        silent = self._leasing.book.unspent(self._account)
        dead = {process: left for process, left in silent.items() if not self._leasing.processes.alive(process)}
        recountable = self._turn is not None and now < self._recountable_until
        if not (recountable and failure.ends_with(sum(dead.values(), NOTHING))):
            self.question = replace(self.question, dead=self.question.dead | dead.keys())

    def _dismiss(self, victim: Turn, refusal: QuotaExceeded) -> bool:
        rival = self._leasing.arbiter.rival(self._account, victim)
        if rival is not None:
            rival.give_way(refusal)
        # All are asked anew, for meanwhile younger ones may have begun elsewhere.
        self.question = replace(self.question, asked=False, victim=None)
        self._deadline = self._leasing.clocks.monotonic() + self._patience_s()
        return victim != self._turn


@dataclass(frozen=True, slots=True)
class _Failure:
    short: Short
    need: Count
    credit: Count

    def ends_with(self, more: Count) -> bool:
        """Whether the need could be met if `more` were free."""
        return self.short.room.without(more).grant(self.need, self.credit, ahead=False) is not None
