"""The ledger's pages in the database: used amounts, leases and who recounts; each method is one transaction.

The one rule: whatever touches an account's leases first locks its row of `usage`, so that what happens to one account
happens one after another in all processes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, and_, bindparam, delete, insert, select, update

from homeport.core.arbiter import Turn, next_to_give_way
from homeport.core.count import Count
from homeport.core.errors import HomeUnavailable, LedgerBusy
from homeport.core.leases import NOTHING, Grant, Lease, Room
from homeport.core.schema import accounts, leases, usage
from homeport.core.state import Database

_MOST_BYTES = 1 << 62  # half of what a column holds; files with nothing in them may be longer together

# Built once: making a statement costs more than running it.
_MINE = and_(leases.c.process_id == bindparam("process"), leases.c.account_id == bindparam("account"))
_PAGE = (
    select(
        usage,
        accounts.c.quota_bytes,
        accounts.c.max_files,
        leases.c.process_id.label("mine"),
        leases.c.recalled,
        leases.c.give_way,
    )
    .join(accounts, accounts.c.id == usage.c.account_id)
    .outerjoin(leases, and_(leases.c.account_id == usage.c.account_id, leases.c.process_id == bindparam("process")))
    .where(usage.c.account_id == bindparam("account"))
    .with_for_update(of=usage)
)
_ADD = (
    update(usage)
    .where(usage.c.account_id == bindparam("account"))
    .values(
        used_bytes=usage.c.used_bytes + bindparam("more_bytes"),
        used_files=usage.c.used_files + bindparam("more_files"),
    )
)
_NOTE = (
    update(leases)
    .where(_MINE)
    .values(
        bytes=bindparam("left_bytes"),
        files=bindparam("left_files"),
        recalled=bindparam("asked"),
        aside_bytes=bindparam("held_bytes"),
        aside_files=bindparam("held_files"),
        youngest=bindparam("last"),
        give_way=bindparam("victim"),
    )
)
_UNSPENT = (leases.c.bytes > leases.c.aside_bytes) | (leases.c.files > leases.c.aside_files)
_LEAVE = delete(leases).where(_MINE)
_RECALLED = (
    select(leases.c.account_id, usage.c.frozen_by, leases.c.give_way)
    .join(usage, usage.c.account_id == leases.c.account_id)
    .where(leases.c.process_id == bindparam("process"), leases.c.recalled)
)


@dataclass(frozen=True, slots=True)
class Trade:
    """What a process wants: `need` from the account's room, `credit` at most of it borrowed, `aside` put aside.

    `ahead` asks for something to spend later; without it the whole balance goes back, which answers a recall.
    `opening` stops at a recount; `leaving` takes the row away, for nothing of this process is inside any more.
    `youngest` is this process's youngest upload, looked up before the balance was taken; the row stays while there is
    one; `rival` is the youngest besides the one that needs the room. `gone` has given way as others asked.
    """

    need: Count = NOTHING
    credit: Count = NOTHING
    aside: Count = NOTHING
    ahead: bool = True
    opening: bool = False
    leaving: bool = False
    youngest: Turn | None = None
    rival: Turn | None = None
    gone: Turn | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """How a need that finds no room goes on: `asked` says that the others were asked before.

    `turn` is the upload that needs the room, if it is one; `victim` the one of another process that it named last;
    `dead` are processes that will not answer.
    """

    asked: bool = False
    turn: Turn | None = None
    victim: Turn | None = None
    dead: frozenset[str] = frozenset()


FIRST = Question()


@dataclass(frozen=True, slots=True)
class Short:
    """The account's room is too small for the trade.

    `waiting`: others were asked and have not answered. `victim` is the upload that is to give way, named when nobody
    holds anything for nothing; if it is another process's, that process has been told and is waited for.
    """

    room: Room
    waiting: bool = False
    victim: Turn | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """This process is to give back what it holds of `account`: for a recount, or so that the upload `give_way` goes."""

    account: int
    frozen: bool
    give_way: Turn | None


@dataclass(frozen=True, slots=True)
class Frozen:
    """The account is being recounted by the process `by`."""

    by: str


@dataclass(frozen=True, slots=True)
class Recount:
    """What the ledger said before a recount and what was there; their difference is the drift."""

    account: int
    before: Count
    after: Count

    @property
    def drift(self) -> Count:
        """How much more is there than the ledger said."""
        return self.after - self.before


class LeaseBook:
    """The transactions of one process, called `process_id` in the tables."""

    def __init__(self, database: Database, process_id: str) -> None:
        self._database = database
        self._process_id = process_id

    def trade(self, lease: Lease, own: Count, trade: Trade, question: Question = FIRST) -> Grant | Short | Frozen:
        """Give back `own`, which was taken from the lease, and get what `trade` wants; `lease` is changed to match.

        `question` is for a trade that finds no room. Raises HomeUnavailable when there is no such account,
        IntegrityError when this process is not registered (any more).
        """
        written = False
        try:
            with self._database.write() as connection:
                outcome = self._trade(connection, lease, own, trade)
                if isinstance(outcome, Short):
                    outcome = self._ask(connection, lease.account, outcome.room, trade.rival, question)
                written = True
        except BaseException:
            # A commit that failed may have happened: then our share is lost until a recount, never spent twice.
            if not written:
                lease.put(own)
            raise
        if isinstance(outcome, Frozen):
            lease.put(own)
        elif isinstance(outcome, Grant):
            lease.put(outcome.ahead)
            lease.set_aside(trade.aside - outcome.borrowed)
        return outcome

    def recalled(self) -> list[Recall]:
        """What others ask of this process."""
        with self._database.read() as connection:
            rows = connection.execute(_RECALLED, {"process": self._process_id})
            return [Recall(row.account_id, row.frozen_by is not None, row.give_way) for row in rows]

    def recall(self, account: int) -> None:
        """Ask all other processes to give back what they hold of the account."""
        with self._database.write() as connection:
            self._page(connection, account)
            self._recall(connection, self._others(account))

    def unanswered(self, account: int) -> list[str]:
        """The processes that were asked to give back what they hold and have not yet."""
        return list(self.unspent(account))

    def unspent(self, account: int) -> dict[str, Count]:
        """As `unanswered`, with what they had left to spend when they last told."""
        query = select(leases).where(self._others(account), leases.c.recalled)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {row.process_id: Count(row.bytes - row.aside_bytes, row.files - row.aside_files) for row in rows}

    def freeze(self, account: int) -> Frozen | None:
        """Stop all changes of the account's files for a recount by this process, unless one is under way."""
        with self._database.write() as connection:
            page = self._page(connection, account)
            if page.frozen_by is not None:
                return Frozen(page.frozen_by)
            connection.execute(_of(account).values(frozen_by=self._process_id))
            self._recall(connection, self._others(account))
        return None

    def unfreeze(self, account: int, process_id: str) -> None:
        """End a recount by `process_id` without a result."""
        with self._database.write() as connection:
            connection.execute(_of(account).where(usage.c.frozen_by == process_id).values(frozen_by=None))

    def finish(self, account: int, found: Count, now: float, dead: Collection[str]) -> Recount:
        """End this process's recount: `found` is the truth, the leases of the `dead` are void."""
        with self._database.write() as connection:
            page = self._page(connection, account)
            if page.frozen_by != self._process_id:  # we were taken for dead, and files may have changed since
                raise LedgerBusy
            before = _used(page) - self._sum(connection, leases.c.account_id == account)
            connection.execute(
                delete(leases).where(leases.c.account_id == account, leases.c.process_id.in_(dead)),
            )
            used = found + self._sum(connection, leases.c.account_id == account)
            values = {
                "used_bytes": min(used.bytes, _MOST_BYTES),
                "used_files": used.files,
                "frozen_by": None,
                "recounted_at": now,
            }
            connection.execute(_of(account).values(values))
        return Recount(account, before, found)

    def leased_by(self, process_ids: Collection[str]) -> list[int]:
        """The accounts of which the processes hold leases."""
        query = select(leases.c.account_id).where(leases.c.process_id.in_(process_ids)).distinct()
        with self._database.read() as connection:
            return list(connection.scalars(query.order_by(leases.c.account_id)))

    def everybody(self) -> list[int]:
        """All accounts."""
        with self._database.read() as connection:
            return list(connection.scalars(select(usage.c.account_id).order_by(usage.c.account_id)))

    def frozen_by(self) -> list[tuple[int, str]]:
        """The accounts that are being recounted, and by whom."""
        query = select(usage.c.account_id, usage.c.frozen_by).where(usage.c.frozen_by.is_not(None))
        with self._database.read() as connection:
            return [(row.account_id, row.frozen_by) for row in connection.execute(query)]

    def room(self, account: int) -> Room:
        """The account's limits and what it uses, as far as the other processes have told."""
        with self._database.read() as connection:
            page = self._page(connection, account)
            unspent = self._sum(connection, self._others(account), positive=True)
            return _room(page).without(unspent)

    def _trade(self, connection: Connection, lease: Lease, own: Count, trade: Trade) -> Grant | Short | Frozen:
        page = self._page(connection, lease.account)
        if trade.opening and page.frozen_by is not None:
            return Frozen(page.frozen_by)
        aside = lease.aside()
        if page.mine is None:
            # First use; or another process took us for dead and recounted, then our share was void and this is new.
            own = NOTHING - aside
        room = _room(page).without(own)
        # Who was asked to give back takes nothing ahead, or those who are short would never find anything.
        answering = bool(page.recalled) or not trade.ahead
        grant = room.grant(trade.need, trade.credit, ahead=not answering)
        if grant is None:
            answering, unspent, change = True, NOTHING, NOTHING - own
        else:
            aside += trade.aside - grant.borrowed
            unspent, change = grant.ahead, grant.spent + grant.ahead - own
        connection.execute(_ADD, {"account": lease.account, "more_bytes": change.bytes, "more_files": change.files})
        self._note(connection, page, _Row(unspent + aside, aside, answering), trade)
        return grant or Short(room)

    def _note(self, connection: Connection, page: Row[Any], row: _Row, trade: Trade) -> None:
        """Write this process's row: what it has left, and whether a recall is still open."""
        mine = {"process": self._process_id, "account": page.account_id}
        if trade.leaving and row.left == NOTHING and trade.youngest is None:
            connection.execute(_LEAVE, mine)
            return
        frozen = page.frozen_by is not None and not trade.leaving
        if page.mine is not None:
            victim = page.give_way if page.give_way != trade.gone else None
            # Only the background, which lets the victim go, says that it has gone.
            recalled = bool(page.recalled) and (frozen or victim is not None or not row.answering)
            connection.execute(_NOTE, {**mine, **_noted(row, trade, victim), "asked": recalled})
            return
        values = {
            "bytes": row.left.bytes,
            "files": row.left.files,
            "aside_bytes": row.aside.bytes,
            "aside_files": row.aside.files,
            "youngest": trade.youngest,
            "recalled": frozen,
        }
        key = {"process_id": self._process_id, "account_id": page.account_id}
        connection.execute(insert(leases), {**key, **values})

    def _ask(self, connection: Connection, account: int, room: Room, rival: Turn | None, question: Question) -> Short:
        """Ask the others for what they do not need; when nobody has such, for an upload to give way."""
        living = self._others(account)
        if question.dead:
            living = and_(living, leases.c.process_id.not_in(question.dead))
        if question.asked and connection.scalar(select(leases.c.process_id).where(living, leases.c.recalled).limit(1)):
            return Short(room, waiting=True, victim=question.victim)
        # Those who have answered are asked again if they have something; all are, once a victim has gone, for
        # meanwhile younger uploads may have begun elsewhere.
        anew = not question.asked or question.victim is not None
        if self._recall(connection, living if anew else and_(living, _UNSPENT)):
            return Short(room, waiting=True)
        if question.turn is None:
            return Short(room)
        others = connection.scalars(select(leases.c.youngest).where(living)).all()
        victim = next_to_give_way(question.turn, [rival, *others])
        if victim is None:
            return Short(room)
        told = update(leases).where(living, leases.c.youngest == victim).values(recalled=True, give_way=victim)
        return Short(room, waiting=connection.execute(told).rowcount > 0, victim=victim)

    def _recall(self, connection: Connection, which: ColumnElement[bool]) -> bool:
        return connection.execute(update(leases).where(which).values(recalled=True)).rowcount > 0

    def _page(self, connection: Connection, account: int) -> Row[Any]:
        page = connection.execute(_PAGE, {"account": account, "process": self._process_id}).one_or_none()
        if page is None:
            raise HomeUnavailable
        return page

    def _others(self, account: int) -> ColumnElement[bool]:
        return and_(leases.c.account_id == account, leases.c.process_id != self._process_id)

    def _sum(self, connection: Connection, which: ColumnElement[bool], *, positive: bool = False) -> Count:
        rows = connection.execute(select(leases.c.bytes, leases.c.files).where(which)).all()
        return Count(
            sum(max(0, row.bytes) if positive else row.bytes for row in rows),
            sum(max(0, row.files) if positive else row.files for row in rows),
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """What a row of this process is to say: `left` is what is unspent and `aside`."""

    left: Count
    aside: Count
    answering: bool


def _noted(row: _Row, trade: Trade, victim: Turn | None) -> dict[str, int | str | None]:
    return {
        "left_bytes": row.left.bytes,
        "left_files": row.left.files,
        "held_bytes": row.aside.bytes,
        "held_files": row.aside.files,
        "last": trade.youngest,
        "victim": victim,
    }


def _of(account: int) -> Update:
    return update(usage).where(usage.c.account_id == account)


def _used(page: Row[Any]) -> Count:
    return Count(page.used_bytes, page.used_files)


def _room(page: Row[Any]) -> Room:
    return Room(_used(page), page.quota_bytes, page.max_files)
