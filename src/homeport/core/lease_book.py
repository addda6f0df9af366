"""The ledger's pages in the database: used amounts, leases and who recounts; each method is one transaction.

The one rule: whatever touches an account's leases first locks its row of `usage`, so that what happens to one account
happens one after another in all processes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, and_, bindparam, delete, insert, select, update

from homeport.core.count import Count
from homeport.core.errors import HomeUnavailable, LedgerBusy
from homeport.core.leases import NOTHING, Grant, Lease, Room
from homeport.core.schema import accounts, leases, usage
from homeport.core.state import Database

# Built once: making a statement costs more than running it.
_MINE = and_(leases.c.process_id == bindparam("process"), leases.c.account_id == bindparam("account"))
_PAGE = (
    select(
        usage,
        accounts.c.quota_bytes,
        accounts.c.max_files,
        leases.c.process_id.label("mine"),
        leases.c.recalled,
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
    .values(bytes=bindparam("left_bytes"), files=bindparam("left_files"), recalled=bindparam("asked"))
)
_LEAVE = delete(leases).where(_MINE)
_RECALLED = (
    select(leases.c.account_id, usage.c.frozen_by)
    .join(usage, usage.c.account_id == leases.c.account_id)
    .where(leases.c.process_id == bindparam("process"), leases.c.recalled)
)


@dataclass(frozen=True, slots=True)
class Trade:
    """What a process wants: `need` from the account's room, `credit` at most of it borrowed, `aside` put aside.

    `ahead` asks for something to spend later; without it the whole balance goes back, which answers a recall.
    `opening` stops at a recount; `leaving` takes the row away, for nothing of this process is inside any more.
    """

    need: Count = NOTHING
    credit: Count = NOTHING
    aside: Count = NOTHING
    ahead: bool = True
    opening: bool = False
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Short:
    """The account's room is too small for the trade; `waiting`: others were asked to give back what they hold."""

    room: Room
    waiting: bool


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

    def trade(self, lease: Lease, own: Count, trade: Trade, *, asked: bool = False) -> Grant | Short | Frozen:
        """Give back `own`, which was taken from the lease, and get what `trade` wants; `lease` is changed to match.

        `asked`: a former call for the same need asked the others already. Raises HomeUnavailable when there is no such
        account, IntegrityError when this process is not registered (any more).
        """
        written = False
        try:
            with self._database.write() as connection:
                outcome = self._trade(connection, lease, own, trade)
                if isinstance(outcome, Short):
                    outcome = Short(outcome.room, self._recall_others(connection, lease.account, asked=asked))
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

    def recalled(self) -> list[tuple[int, bool]]:
        """The accounts of which this process is to give back what it holds; True: because of a recount."""
        with self._database.read() as connection:
            rows = connection.execute(_RECALLED, {"process": self._process_id})
            return [(row.account_id, row.frozen_by is not None) for row in rows]

    def recall(self, account: int) -> None:
        """Ask all other processes to give back what they hold of the account."""
        with self._database.write() as connection:
            self._page(connection, account)
            self._recall_others(connection, account, asked=False)

    def unanswered(self, account: int) -> list[str]:
        """The processes that were asked to give back what they hold and have not yet."""
        query = select(leases.c.process_id).where(self._others(account), leases.c.recalled)
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def freeze(self, account: int) -> Frozen | None:
        """Stop all changes of the account's files for a recount by this process, unless one is under way."""
        with self._database.write() as connection:
            page = self._page(connection, account)
            if page.frozen_by is not None:
                return Frozen(page.frozen_by)
            connection.execute(_of(account).values(frozen_by=self._process_id))
            self._recall_others(connection, account, asked=False)
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
            values = {"used_bytes": used.bytes, "used_files": used.files, "frozen_by": None, "recounted_at": now}
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
        grant = room.grant(trade.need, trade.credit, ahead=trade.ahead)
        if grant is None:
            answered, left, change = True, aside, NOTHING - own
        else:
            answered = not trade.ahead
            left = grant.ahead + aside + trade.aside - grant.borrowed
            change = grant.spent + grant.ahead - own
        connection.execute(_ADD, {"account": lease.account, "more_bytes": change.bytes, "more_files": change.files})
        self._note(connection, page, left, answered=answered, leaving=trade.leaving)
        return grant or Short(room, waiting=False)

    def _note(self, connection: Connection, page: Row[Any], left: Count, *, answered: bool, leaving: bool) -> None:
        """Write this process's row: what it has left, and whether a recall is still open."""
        mine = {"process": self._process_id, "account": page.account_id}
        if leaving and left == NOTHING:
            connection.execute(_LEAVE, mine)
            return
        frozen = page.frozen_by is not None and not leaving
        if page.mine is not None:
            recalled = bool(page.recalled) and (frozen or not (answered or leaving))
            values = {"left_bytes": left.bytes, "left_files": left.files, "asked": recalled}
            connection.execute(_NOTE, {**mine, **values})
            return
        row = {"process_id": self._process_id, "account_id": page.account_id, "recalled": frozen}
        connection.execute(insert(leases), {**row, "bytes": left.bytes, "files": left.files})

    def _recall_others(self, connection: Connection, account: int, *, asked: bool) -> bool:
        """Whether to wait for others; those who have given back all they had are asked once, not again."""
        others = self._others(account)
        if asked:
            if connection.scalar(select(leases.c.process_id).where(others, leases.c.recalled).limit(1)):
                return True
            others = and_(others, (leases.c.bytes > 0) | (leases.c.files > 0))
        return connection.execute(update(leases).where(others).values(recalled=True)).rowcount > 0

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


def _of(account: int) -> Update:
    return update(usage).where(usage.c.account_id == account)


def _used(page: Row[Any]) -> Count:
    return Count(page.used_bytes, page.used_files)


def _room(page: Row[Any]) -> Room:
    return Room(_used(page), page.quota_bytes, page.max_files)
