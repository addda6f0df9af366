"""Rooms: who is in which, who may make them, and what the administrator decides about them.

The one rule: what an account may not read, it is not told of, not even that it exists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError

from homeport.core.account_names import name_key
from homeport.core.chat_log import ChatLimits
from homeport.core.chat_names import DIRECT, ChatRights, room_key, room_name
from homeport.core.chat_rows import (
    ACCOUNTS,
    COLUMNS,
    EVERYWHERE,
    MEMBERS,
    RIGHTS,
    ROOMS,
    RightsBook,
    Room,
    begin_conversation,
    join,
    room_called,
)
from homeport.core.errors import AccountNotFound, ChatRightMissing, RoomExists, RoomNotFound
from homeport.core.state import Database


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room as an account sees it: under the `name` that it has for it, read up to `read_id`; `member` or not."""

    room: Room
    name: str
    member: bool
    read_id: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What an administrator decided: an account's rights in `room` (None: everywhere) `until` then (None: for ever)."""

    account: str
    room: str | None
    rights: ChatRights
    until: float | None


class ChatRooms:
    """All rooms. Threads and processes may share it; the methods block."""

    def __init__(
        self, database: Database, limits: ChatLimits | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self.limits = limits or ChatLimits()
        self._clock = clock

    def join(self, account_id: int, name: str, *, make: bool = False) -> RoomView:
        """Become a member of a room, or take part in a conversation; with `make` the room is made where there is none.

        Raises RoomNotFound, ChatRightMissing, InvalidMessage.
        """
        now = self._clock()
        with self._database.write() as connection:
            rights = RightsBook(connection, {account_id}, self.limits.default, now)
            if name.startswith(DIRECT):
                room = begin_conversation(self._database, connection, account_id, name, now)
            else:
                room = self._found_or_made(connection, account_id, name, rights, make=make)
            if ChatRights.READ not in rights.within(account_id, room):
                raise ChatRightMissing(name, "read")
            # Who joins has missed nothing: what was said before is history.
            join(self._database, connection, account_id, room, now, read_id=room.last_id)
        return next(view for view in self.of(account_id) if view.room.id == room.id)

    def leave(self, account_id: int, name: str) -> Room:
        """Be a member no more; whoever was none is none afterwards. Raises RoomNotFound."""
        with self._database.write() as connection:
            room = room_called(connection, account_id, name)
            own = (MEMBERS.c.account_id == account_id) & (MEMBERS.c.room_id == room.id)
            connection.execute(delete(MEMBERS).where(own))
        return room

    def of(self, account_id: int) -> list[RoomView]:
        """Every room that the account may read, and its conversations; by name, conversations last."""
        with self._database.read() as connection:
            rights = RightsBook(connection, {account_id}, self.limits.default, self._clock())
            own = (MEMBERS.c.account_id == account_id) & (MEMBERS.c.room_id == ROOMS.c.id)
            mine = or_(ROOMS.c.direct.is_(False), MEMBERS.c.account_id.is_not(None))
            wanted = select(*COLUMNS, MEMBERS.c.read_id).join(MEMBERS, own, isouter=True).where(mine)
            rows = [(Room(*row[:-1]), row[-1]) for row in connection.execute(wanted)]
            found = [(room, read) for room, read in rows if ChatRights.READ in rights.within(account_id, room)]
            others = {id_ for room, _ in found if room.direct for id_ in room.pair}
            names = _names(connection, others)
        views = [
            RoomView(
                room, _called(room, account_id, names), read is not None, read if read is not None else room.last_id
            )
            for room, read in found
        ]
        return sorted(views, key=lambda view: (view.room.direct, view.name.casefold()))

    def members(self, account_id: int, name: str) -> list[str]:
        """Who is in a room, by name. Raises RoomNotFound, ChatRightMissing."""
        with self._database.read() as connection:
            room = room_called(connection, account_id, name)
            rights = RightsBook(connection, {account_id}, self.limits.default, self._clock())
            if ChatRights.READ not in rights.within(account_id, room):
                raise ChatRightMissing(name, "read")
            wanted = select(ACCOUNTS.c.name).join(MEMBERS, MEMBERS.c.account_id == ACCOUNTS.c.id)
            return list(connection.scalars(wanted.where(MEMBERS.c.room_id == room.id).order_by(ACCOUNTS.c.name_key)))

    def member_ids(self, room_id: int) -> frozenset[int]:
        """The members who may read the room now."""
        with self._database.read() as connection:
            row = connection.execute(select(*COLUMNS).where(ROOMS.c.id == room_id)).first()
            if row is None:
                return frozenset()
            room = Room.of(row)
            ids = set(connection.scalars(select(MEMBERS.c.account_id).where(MEMBERS.c.room_id == room_id)))
            rights = RightsBook(connection, ids, self.limits.default, self._clock())
        return frozenset(id_ for id_ in ids if ChatRights.READ in rights.within(id_, room))

    def unwelcome(self, account_ids: Iterable[int]) -> frozenset[int]:
        """Those of the accounts that were removed, disabled, or have expired."""
        ids = frozenset(account_ids)
        lasts = or_(ACCOUNTS.c.expires_at.is_(None), ACCOUNTS.c.expires_at > self._clock())
        wanted = select(ACCOUNTS.c.id).where(ACCOUNTS.c.id.in_(ids), ACCOUNTS.c.enabled, lasts)
        with self._database.read() as connection:
            return ids - set(connection.scalars(wanted))

    # What administrators do

    def make(self, name: str, *, open_to_all: bool = True) -> Room:
        """Make a room. Raises RoomExists, InvalidMessage."""
        try:
            with self._database.write() as connection:
                row = _row(name, self._clock(), open_to_all=open_to_all)
                return Room.of(connection.execute(insert(ROOMS).values(row).returning(*COLUMNS)).one())
        except IntegrityError as error:
            raise RoomExists(name) from error

    def remove(self, name: str) -> Room:
        """Remove a room and everything that was said in it. Raises RoomNotFound, InvalidMessage."""
        with self._database.write() as connection:
            row = connection.execute(
                delete(ROOMS).where(ROOMS.c.name_key == room_key(name)).returning(*COLUMNS)
            ).first()
            if row is None:
                raise RoomNotFound(name)
            connection.execute(delete(RIGHTS).where(RIGHTS.c.room_id == row.id))
        return Room.of(row)

    def all(self) -> list[Room]:
        """Every room, without the conversations, by name."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(*COLUMNS).where(ROOMS.c.direct.is_(False)).order_by(ROOMS.c.name_key)
            ).all()
        return [Room.of(row) for row in rows]

    def decide(
        self, account: str, rights: ChatRights | None, *, room: str | None = None, seconds: float | None = None
    ) -> Decision:
        """What `account` may do from now on, in one room or everywhere, for some seconds or for ever.

        `rights` None takes a decision back. Raises AccountNotFound, RoomNotFound, InvalidMessage.
        """
        until = None if seconds is None else self._clock() + seconds
        with self._database.write() as connection:
            account_id, name = _account(connection, account)
            room_id = EVERYWHERE if room is None else _id_of(connection, room)
            where = (RIGHTS.c.account_id == account_id) & (RIGHTS.c.room_id == room_id)
            connection.execute(delete(RIGHTS).where(where))
            if rights is not None:
                row = {"account_id": account_id, "room_id": room_id, "rights": str(rights), "until": until}
                connection.execute(insert(RIGHTS).values(row))
        return Decision(name, room, self.limits.default if rights is None else rights, until)

    def decisions(self) -> list[Decision]:
        """Everything that holds now and was decided by hand, by account and room."""
        with self._database.read() as connection:
            wanted = (
                select(ACCOUNTS.c.name, ROOMS.c.name, RIGHTS.c.rights, RIGHTS.c.until)
                .join(ACCOUNTS, ACCOUNTS.c.id == RIGHTS.c.account_id)
                .join(ROOMS, ROOMS.c.id == RIGHTS.c.room_id, isouter=True)
                .where(or_(RIGHTS.c.until.is_(None), RIGHTS.c.until > self._clock()))
                .order_by(ACCOUNTS.c.name_key, RIGHTS.c.room_id)
            )
            rows = connection.execute(wanted).all()
        return [Decision(name, room, ChatRights.parse(rights), until) for name, room, rights, until in rows]

    def _found_or_made(
        self, connection: Connection, account_id: int, name: str, rights: RightsBook, *, make: bool
    ) -> Room:
        try:
            room = room_called(connection, account_id, name)
        except RoomNotFound:
            if not make:
                raise
            if ChatRights.MAKE not in rights.everywhere(account_id):
                raise ChatRightMissing(name, "make") from None
            row = _row(name, self._clock(), open_to_all=True)
            connection.execute(self._database.insert(ROOMS).values(row).on_conflict_do_nothing())
            room = room_called(connection, account_id, name)
        if not room.open and ChatRights.READ not in rights.within(account_id, room):
            raise RoomNotFound(name)
        return room


def _row(name: str, now: float, *, open_to_all: bool) -> dict[str, object]:
    return {
        "name_key": room_key(name),
        "name": room_name(name),
        "direct": False,
        "open": open_to_all,
        "last_id": 0,
        "created_at": now,
    }


def _id_of(connection: Connection, name: str) -> int:
    found: int | None = connection.scalar(select(ROOMS.c.id).where(ROOMS.c.name_key == room_key(name)))
    if found is None:
        raise RoomNotFound(name)
    return found


def _account(connection: Connection, name: str) -> tuple[int, str]:
    try:
        key = name_key(name)
    except ValueError as error:
        raise AccountNotFound(name) from error
    row = connection.execute(select(ACCOUNTS.c.id, ACCOUNTS.c.name).where(ACCOUNTS.c.name_key == key)).first()
    if row is None:
        raise AccountNotFound(name)
    return row.id, row.name


def _names(connection: Connection, ids: set[int]) -> dict[int, str]:
    rows = connection.execute(select(ACCOUNTS.c.id, ACCOUNTS.c.name).where(ACCOUNTS.c.id.in_(ids)))
    return {row.id: row.name for row in rows}


def _called(room: Room, account_id: int, names: dict[int, str]) -> str:
    """What the account calls the room."""
    if not room.direct:
        return room.name
    other = next(id_ for id_ in room.pair if id_ != account_id)
    return DIRECT + names.get(other, f"#{other}")
