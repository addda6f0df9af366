"""Failed logins: what they cost whoever fails, and never anybody else.

The one rule: only an address, or one name from one address, is ever banned for failures. Failures against a name from
everywhere make the refusals slower, so that guessing by many machines is slow too; but the owner with the right
password, from an address that did nothing wrong, always gets in at once.

Failures leak away: `window_s` seconds forget `failures_before_ban` of them. A login that succeeds forgets the failures
of that name from that address alone, so nobody clears a guesser's record by logging in with an account of his own.
Everything is in the database: all processes and protocols count together, and a restart forgets nothing. Rows are
always changed in the order address, name, pair, so that processes never wait for each other in a circle.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, case, delete, func, or_, select, tuple_, update

from homeport.core.errors import TOO_MANY_FAILURES, Banned
from homeport.core.login_subjects import Subject, all_about, ip_of, subject, subjects_of
from homeport.core.schema import bans, login_failures
from homeport.core.state import Database
from homeport.core.steady_clock import Clocks, SteadyClock, machine_clocks

_PRUNE_EVERY = 64
_MAX_DOUBLINGS = 64.0


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """How hard failures are taken; the first six are the configuration's section `login`."""

    first_delay_s: float = 0.5
    max_delay_s: float = 8.0
    failures_before_ban: int = 10
    window_s: float = 900.0
    ban_s: float = 900.0
    never_ban: tuple[IPv4Network | IPv6Network, ...] = ()
    max_ban_s: float = 86400.0  # a ban within this after another lasts twice as long, up to this
    max_records: int = 10_000  # the smallest and oldest go first

    def failures_allowed(self, kind: str) -> int:
        """Half as many for one name as for the address: a forgetful user does not lock out a whole office."""
        return self.failures_before_ban if kind == "address" else max(1, self.failures_before_ban // 2)


@dataclass(frozen=True, slots=True)
class Ban:
    """Who is kept out. `kind` is `address`, `name`, or `pair` for NAME ADDRESS; the times are the wall clock's."""

    kind: str
    subject: str
    reason: str
    created_at: float
    until: float | None  # None: until it is removed


class LoginGuard:
    """Counts failures and keeps bans. Addresses are text as sockets give it; IPv6 counts per /64."""

    def __init__(self, database: Database, settings: GuardSettings, clocks: Clocks | None = None) -> None:
        self._database = database
        self._settings = settings
        self._clock = SteadyClock(database, clocks or machine_clocks())
        self._prune_turns = itertools.count(1)

    def check(self, address: str, name: str | None = None) -> None:
        """Whether a login may be tried from `address` (as `name`): raises Banned when not."""
        now = self._clock.now()
        mine = select(bans.c.until, bans.c.reason).where(_is_among(bans, subjects_of(address, name)), _lasts(now))
        with self._database.read() as connection:
            found = connection.execute(mine).all()
        if found:
            # The longest counts; one without an end is longer than any.
            row = max(found, key=lambda row: float("inf") if row.until is None else row.until)
            raise Banned(row.reason, None if row.until is None else row.until - now)

    def failed(self, address: str, name: str) -> float:
        """Count a refused login; returns the seconds to wait before the refusal is sent. May ban from now on."""
        now = self._clock.now()
        spared = self._is_spared(address)
        with self._database.write() as connection:
            counts = {about: self._count(connection, about, now) for about in subjects_of(address, name)}
            for about, count in counts.items():
                if about.kind != "name" and not spared and self._is_too_many(about.kind, count):
                    self._ban_for_failures(connection, about, now)
        if next(self._prune_turns) % _PRUNE_EVERY == 0:
            self.prune()
        doublings = min(max(counts.values()) - 1, _MAX_DOUBLINGS)
        return min(self._settings.max_delay_s, self._settings.first_delay_s * float(2**doublings))

    def succeeded(self, address: str, name: str) -> None:
        """Forget this name's failures from this address; one look when there are none."""
        *wider, pair = subjects_of(address, name)
        if pair.kind != "pair":
            return
        count = select(login_failures.c.count).where(_is_among(login_failures, [pair]))
        with self._database.read() as connection:
            if connection.scalar(count) is None:
                return
        rest = login_failures.c.count - count.scalar_subquery()
        with self._database.write() as connection:
            for about in wider:
                change = update(login_failures).where(_is_among(login_failures, [about]), rest.is_not(None))
                connection.execute(change.values(count=_at_least_zero(rest)))
            connection.execute(delete(login_failures).where(_is_among(login_failures, [pair])))

    def bans(self) -> list[Ban]:
        """Every ban that has not ended, the newest first."""
        current = select(bans).where(_lasts(self._clock.now())).order_by(bans.c.created_at.desc(), bans.c.subject)
        with self._database.read() as connection:
            return [self._shown(row) for row in connection.execute(current)]

    def ban(self, kind: str, about: str, reason: str, duration_s: float | None = None) -> Ban:
        """Keep somebody out for `duration_s` seconds, or until it is removed; replaces an earlier ban.

        `kind` and `about` are as in Ban. Raises ValueError when `about` is no such thing.
        """
        whom = subject(kind, about)
        now = self._clock.now()
        until = None if duration_s is None else now + duration_s
        with self._database.write() as connection:
            return self._shown(self._put_ban(connection, whom, reason, (now, until)))

    def unban(self, about: str) -> bool:
        """End the bans of an address, a name or a pair, and forget the failures; whether there was a ban.

        An address ends the bans of all names from it as well, and a name those of it from all addresses.
        """
        condition = all_about(about)
        lasting = select(func.count()).select_from(bans).where(condition(bans), _lasts(self._clock.now()))
        with self._database.write() as connection:
            found = connection.scalar(lasting)
            connection.execute(delete(bans).where(condition(bans)))
            connection.execute(delete(login_failures).where(condition(login_failures)))
        return bool(found)

    def prune(self) -> None:
        """Drop what has leaked away or ended, and what is over `max_records`. `failed` does it now and then."""
        now = self._clock.now()
        long_ended = bans.c.until < now - self._settings.max_ban_s  # until then the next ban is doubled
        with self._database.write() as connection:
            _drop(connection, login_failures, select(*login_failures.primary_key).where(self._left(now) <= 0))
            _drop(connection, bans, select(*bans.primary_key).where(long_ended))
            self._drop_excess(connection, login_failures, (login_failures.c.count, login_failures.c.last_at))
            self._drop_excess(connection, bans, (bans.c.until.is_(None), bans.c.until))

    def _drop_excess(self, connection: Connection, table: Table, order: tuple[ColumnElement[Any], ...]) -> None:
        excess = (connection.scalar(select(func.count()).select_from(table)) or 0) - self._settings.max_records
        if excess > 0:
            _drop(connection, table, select(*table.primary_key).order_by(*order).limit(excess))

    def _left(self, now: float) -> ColumnElement[float]:
        """How many of a row's failures are not forgotten yet."""
        elapsed = _at_least_zero(now - login_failures.c.last_at)  # another process may have read the time later
        return _at_least_zero(
            login_failures.c.count - elapsed * (self._settings.failures_before_ban / self._settings.window_s)
        )

    def _count(self, connection: Connection, about: Subject, now: float) -> float:
        first = {"kind": about.kind, "subject": about.text, "count": 1.0, "last_at": now}
        more = {
            "count": self._left(now) + 1,
            "last_at": case((login_failures.c.last_at > now, login_failures.c.last_at), else_=now),
        }
        statement = self._database.insert(login_failures).values(first)
        counted = statement.on_conflict_do_update(index_elements=["kind", "subject"], set_=more)
        count: float = connection.execute(counted.returning(login_failures.c.count)).scalar_one()
        return count

    def _is_too_many(self, kind: str, count: float) -> bool:
        # A little has leaked even between quick failures: the tenth makes the count somewhat less than ten.
        return count > self._settings.failures_allowed(kind) - 1

    def _is_spared(self, address: str) -> bool:
        ip = ip_of(address)
        return ip is not None and any(ip in network for network in self._settings.never_ban)

    def _ban_for_failures(self, connection: Connection, about: Subject, now: float) -> None:
        before = connection.execute(select(bans).where(_is_among(bans, [about]))).first()
        if before and (before.until is None or before.until > now):
            return  # logins that had begun before the ban do not make it longer
        lasts_s = self._settings.ban_s
        if before and before.until > now - self._settings.max_ban_s:
            lasts_s = max(lasts_s, min(self._settings.max_ban_s, 2 * (before.until - before.created_at)))
        self._put_ban(connection, about, TOO_MANY_FAILURES, (now, now + lasts_s))

    def _put_ban(
        self, connection: Connection, about: Subject, reason: str, span: tuple[float, float | None]
    ) -> Row[Any]:
        value = {"reason": reason, "created_at": span[0], "until": span[1]}
        statement = self._database.insert(bans).values(kind=about.kind, subject=about.text, **value)
        put = statement.on_conflict_do_update(index_elements=["kind", "subject"], set_=value)
        return connection.execute(put.returning(bans)).one()

    def _shown(self, row: Row[Any]) -> Ban:
        until = None if row.until is None else self._clock.shown(row.until)
        return Ban(row.kind, row.subject, row.reason, self._clock.shown(row.created_at), until)


def _is_among(table: Table, subjects: list[Subject]) -> ColumnElement[bool]:
    return tuple_(table.c.kind, table.c.subject).in_(subjects)


def _lasts(now: float) -> ColumnElement[bool]:
    return or_(bans.c.until.is_(None), bans.c.until > now)


def _at_least_zero(value: ColumnElement[float]) -> ColumnElement[float]:
    return case((value > 0, value), else_=0.0)


def _drop(connection: Connection, table: Table, keys: Select[Any]) -> None:
    """Rows that another process is changing are left to it: it may be waiting for one of ours."""
    free = keys.with_for_update(skip_locked=True)
    connection.execute(delete(table).where(tuple_(*table.primary_key).in_(free)))
