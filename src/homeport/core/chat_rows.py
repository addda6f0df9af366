"""How the chat's tables are asked: rooms by what an account calls them, and what it may do there.

The one rule: these functions run inside a transaction of the caller's, and change nothing unless their name says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, or_, select

from homeport.core import schema
from homeport.core.account_names import name_key
from homeport.core.chat_names import DIRECT, ChatRights, direct_key, room_key
from homeport.core.errors import InvalidMessage, RoomNotFound
from homeport.core.state import Database

ROOMS, MEMBERS, RIGHTS, ACCOUNTS = schema.chat_rooms, schema.chat_members, schema.chat_rights, schema.accounts
EVERYWHERE = 0  # the room_id of rights that hold in all rooms


@dataclass(frozen=True, slots=True)
class Room:
    """A room, or a conversation (`direct`) of the accounts `pair`."""

    id: int
    name: str
    direct: bool
    open: bool
    last_id: int
    key: str

    @property
    def pair(self) -> tuple[int, int]:
        """Whose conversation it is."""
        one, _, other = self.key.removeprefix(DIRECT).partition(":")
        return int(one), int(other)

    @classmethod
    def of(cls, row: Sequence[Any]) -> Room:
        """From a row with COLUMNS."""
        return cls(row[0], row[1], row[2], row[3], row[4], row[5])


COLUMNS = (ROOMS.c.id, ROOMS.c.name, ROOMS.c.direct, ROOMS.c.open, ROOMS.c.last_id, ROOMS.c.name_key)


# Made once: to make a statement costs more than SQLite takes to answer it.
_BY_KEY = select(*COLUMNS).where(ROOMS.c.name_key == bindparam("key"))
_RIGHTS_NOW = select(RIGHTS.c.account_id, RIGHTS.c.room_id, RIGHTS.c.rights).where(
    and_(
        RIGHTS.c.account_id.in_(bindparam("accounts", expanding=True)),
        or_(RIGHTS.c.until.is_(None), RIGHTS.c.until > bindparam("now")),
    )
)


def room_called(connection: Connection, account_id: int, name: str) -> Room:
    """The room that the account calls `name`: a room's name, or @NAME for a conversation that has begun.

    Raises RoomNotFound.
    """
    key = key_of(connection, account_id, name)
    row = connection.execute(_BY_KEY, {"key": key}).first()
    if row is None:
        raise RoomNotFound(name)
    return Room.of(row)


def key_of(connection: Connection, account_id: int, name: str) -> str:
    """The key of what the account calls `name`. Raises RoomNotFound, InvalidMessage."""
    if not name.startswith(DIRECT):
        try:
            return room_key(name)
        except InvalidMessage as error:
            raise RoomNotFound(name) from error
    other = peer_called(connection, name)
    if other == account_id:
        raise InvalidMessage(name, "nobody talks with themselves here")
    return direct_key(account_id, other)


def peer_called(connection: Connection, name: str) -> int:
    """The id of the account behind @NAME; raises RoomNotFound."""
    try:
        key = name_key(name.removeprefix(DIRECT))
    except ValueError as error:
        raise RoomNotFound(name) from error
    found: int | None = connection.scalar(select(ACCOUNTS.c.id).where(ACCOUNTS.c.name_key == key))
    if found is None:
        raise RoomNotFound(name)
    return found


def begin_conversation(database: Database, connection: Connection, account_id: int, name: str, now: float) -> Room:
    """The conversation with @NAME, begun where there is none. Raises RoomNotFound, InvalidMessage."""
    key = key_of(connection, account_id, name)
    row = {"name_key": key, "name": "", "direct": True, "open": False, "last_id": 0, "created_at": now}
    connection.execute(database.insert(ROOMS).values(row).on_conflict_do_nothing())
    room = room_called(connection, account_id, name)
    for member in room.pair:
        join(database, connection, member, room, now, read_id=0)
    return room


def join(database: Database, connection: Connection, account_id: int, room: Room, now: float, *, read_id: int) -> None:
    """Make the account a member, if it is none."""
    row = {"account_id": account_id, "room_id": room.id, "read_id": read_id, "joined_at": now}
    connection.execute(database.insert(MEMBERS).values(row).on_conflict_do_nothing())


class RightsBook:
    """What some accounts may do in all rooms, read once."""

    def __init__(self, connection: Connection, account_ids: Iterable[int], default: ChatRights, now: float) -> None:
        self._default = default
        found = connection.execute(_RIGHTS_NOW, {"accounts": list(account_ids), "now": now})
        self._known = {(account, room): ChatRights.parse(rights) for account, room, rights in found}

    def everywhere(self, account_id: int) -> ChatRights:
        """What the account may do where nothing else is said."""
        return self._known.get((account_id, EVERYWHERE), self._default)

    def within(self, account_id: int, room: Room) -> ChatRights:
        """What it may do in `room`. In a conversation both may what they may everywhere; others nothing."""
        if room.direct:
            return self.everywhere(account_id) if account_id in room.pair else ChatRights.NONE
        own = self._known.get((account_id, room.id))
        if own is not None:
            return own
        return self.everywhere(account_id) if room.open else ChatRights.NONE
