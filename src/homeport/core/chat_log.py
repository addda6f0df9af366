"""What is said: stored in the order of each room, numbered without a gap, and told again from any number on.

The one rule: a message has one number, given in the transaction that stores it, so whoever knows the last number that
it has seen knows what it missed; and a message that is sent twice, by its token, is stored once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from homeport.core import schema
from homeport.core.chat_names import DIRECT, KINDS, MAX_TOKEN_LENGTH, ChatRights, check_text
from homeport.core.chat_rows import COLUMNS as ROOM_COLUMNS
from homeport.core.chat_rows import MEMBERS, ROOMS, RightsBook, Room, begin_conversation, room_called
from homeport.core.errors import ChatError, ChatRightMissing, InvalidMessage
from homeport.core.state import Database

_MESSAGES = schema.chat_messages
MAX_HISTORY = 200

# Made once: to make a statement costs more than SQLite takes to answer it.
_STORED = (
    select(_MESSAGES, *(column.label(f"of_{column.name}") for column in ROOM_COLUMNS))
    .join(ROOMS, ROOMS.c.id == _MESSAGES.c.room_id)
    .where(_MESSAGES.c.token.in_(bindparam("tokens", expanding=True)))
)
_TAKE_NUMBERS = (
    update(ROOMS)
    .where(ROOMS.c.id == bindparam("room"))
    .values(last_id=ROOMS.c.last_id + bindparam("count"))
    .returning(ROOMS.c.last_id)
)
_STORE = insert(_MESSAGES)


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """`default` is what accounts may do of which nothing else is said."""

    max_chars: int = 4000
    default: ChatRights = ChatRights.ALL


@dataclass(frozen=True, slots=True)
class Post:
    """Something that an account, called `sender`, wants to say in `room`; `token` is its own, new for every message."""

    account_id: int
    sender: str
    room: str
    text: str
    token: str
    kind: str = "say"


@dataclass(frozen=True, slots=True)
class Message:
    """Something that was said; `at` is in seconds since the epoch."""

    room: Room
    id: int
    account_id: int
    sender: str
    kind: str
    text: str
    at: float


Outcome = Message | ChatError


class ChatLog:
    """The messages of all rooms. Threads and processes may share it; the methods block."""

    def __init__(
        self, database: Database, limits: ChatLimits | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self.limits = limits or ChatLimits()
        self._clock = clock

    def post(self, posts: Sequence[Post]) -> list[Outcome]:
        """Store messages, in this order, in one transaction; what became of each. A message that was stored before is
        given as it was.
        """
        outcomes: list[Outcome | None] = [self._checked(post) for post in posts]
        now = self._clock()
        with self._database.write() as connection:
            stored = _stored_already(connection, posts)
            rights = RightsBook(connection, {post.account_id for post in posts}, self.limits.default, now)
            places: dict[tuple[int, str], Room | ChatError] = {}
            fresh: list[tuple[int, Room]] = []
            for index, post in enumerate(posts):
                known = (post.account_id, post.token)
                if outcomes[index] is None and known in stored:
                    outcomes[index] = stored[known]
                elif outcomes[index] is None:
                    found = self._place(connection, post, rights, places, now)
                    if isinstance(found, Room):
                        fresh.append((index, found))
                        # Of two with one token in one go the second is the first one again.
                        stored[known] = InvalidMessage(post.room, "it is being stored")
                    else:
                        outcomes[index] = found
            for index, message in _number(connection, posts, fresh, now):
                outcomes[index] = message
        return [outcome for outcome in outcomes if outcome is not None]

    def history(
        self, account_id: int, room: str, *, after: int | None = None, before: int | None = None, limit: int = 50
    ) -> list[Message]:
        """Messages of a room, oldest first: the first ones after a number, or the last ones before one (None: the end).

        Raises RoomNotFound, ChatRightMissing.
        """
        limit = max(1, min(limit, MAX_HISTORY))
        with self._database.read() as connection:
            found = room_called(connection, account_id, room)
            rights = RightsBook(connection, {account_id}, self.limits.default, self._clock())
            if ChatRights.READ not in rights.within(account_id, found):
                raise ChatRightMissing(room, "read")
            if after is not None:
                return self.range_of(connection, found, after, limit)
            wanted = select(_MESSAGES).where(_MESSAGES.c.room_id == found.id)
            if before is not None:
                wanted = wanted.where(_MESSAGES.c.id < before)
            rows = connection.execute(wanted.order_by(_MESSAGES.c.id.desc()).limit(limit)).mappings().all()
        return [_message(found, row) for row in reversed(rows)]

    def after(self, room_id: int, number: int, limit: int = MAX_HISTORY) -> list[Message]:
        """The messages of a room after a number, for whoever may read there: nobody is asked again."""
        with self._database.read() as connection:
            row = connection.execute(select(*ROOM_COLUMNS).where(ROOMS.c.id == room_id)).first()
            return [] if row is None else self.range_of(connection, Room.of(row), number, limit)

    @staticmethod
    def range_of(connection: Connection, room: Room, after: int, limit: int) -> list[Message]:
        """The first messages of `room` after a number."""
        wanted = select(_MESSAGES).where(_MESSAGES.c.room_id == room.id, _MESSAGES.c.id > after)
        rows = connection.execute(wanted.order_by(_MESSAGES.c.id).limit(limit)).mappings()
        return [_message(room, row) for row in rows]

    def mark_read(self, account_id: int, room: str, number: int) -> None:
        """The account has read so far; never back. Raises RoomNotFound."""
        with self._database.write() as connection:
            found = room_called(connection, account_id, room)
            own = (MEMBERS.c.account_id == account_id) & (MEMBERS.c.room_id == found.id)
            change = update(MEMBERS).where(own, MEMBERS.c.read_id < min(number, found.last_id))
            connection.execute(change.values(read_id=min(number, found.last_id)))

    def _checked(self, post: Post) -> Outcome | None:
        """What is wrong with a post whatever its room."""
        if post.kind not in KINDS:
            return InvalidMessage(post.room, f"no message is of the kind {post.kind[:20]!r}")
        if not 1 <= len(post.token) <= MAX_TOKEN_LENGTH or not post.token.isascii() or "\0" in post.token:
            return InvalidMessage(post.room, f"a token has 1 to {MAX_TOKEN_LENGTH} ASCII characters")
        try:
            check_text(post.room, post.text, self.limits.max_chars)
        except InvalidMessage as error:
            return error
        return None

    def _place(
        self,
        connection: Connection,
        post: Post,
        rights: RightsBook,
        places: dict[tuple[int, str], Room | ChatError],
        now: float,
    ) -> Room | ChatError:
        """The room of a post where its sender may talk, or why not; looked up once a batch."""
        key = (post.account_id, post.room)
        if key not in places:
            try:
                places[key] = self._room_to_talk_in(connection, post, rights, now)
            except ChatError as error:
                places[key] = error
        return places[key]

    def _room_to_talk_in(self, connection: Connection, post: Post, rights: RightsBook, now: float) -> Room:
        if post.room.startswith(DIRECT):
            if ChatRights.TALK not in rights.everywhere(post.account_id):
                raise ChatRightMissing(post.room, "talk")
            return begin_conversation(self._database, connection, post.account_id, post.room, now)
        room = room_called(connection, post.account_id, post.room)
        if ChatRights.TALK not in rights.within(post.account_id, room):
            raise ChatRightMissing(post.room, "talk")
        return room


def _stored_already(connection: Connection, posts: Sequence[Post]) -> dict[tuple[int, str], Outcome]:
    tokens = {post.token for post in posts if "\0" not in post.token}
    found: dict[tuple[int, str], Outcome] = {}
    for row in connection.execute(_STORED, {"tokens": list(tokens)}).mappings():
        room = Room(*(row[f"of_{column.name}"] for column in ROOM_COLUMNS))
        found[row["account_id"], row["token"]] = _message(room, row)
    return found


def _number(
    connection: Connection, posts: Sequence[Post], fresh: Sequence[tuple[int, Room]], now: float
) -> Iterator[tuple[int, Message]]:
    """Give each fresh post the next number of its room, and store it."""
    next_ids: dict[int, int] = {}
    for room_id, count in sorted(Counter(room.id for _, room in fresh).items()):  # in one order, or two might wait
        last: int = connection.execute(_TAKE_NUMBERS, {"room": room_id, "count": count}).scalar_one()
        next_ids[room_id] = last - count
    rows = []
    for index, room in fresh:
        post = posts[index]
        next_ids[room.id] += 1
        message = Message(room, next_ids[room.id], post.account_id, post.sender, post.kind, post.text, now)
        rows.append(
            {
                "room_id": room.id,
                "id": message.id,
                "account_id": post.account_id,
                "name": post.sender,
                "kind": post.kind,
                "text": post.text,
                "sent_at": now,
                "token": post.token,
            }
        )
        yield index, message
    if rows:
        connection.execute(_STORE, rows)


def _message(room: Room, row: RowMapping) -> Message:
    return Message(room, row["id"], row["account_id"], row["name"], row["kind"], row["text"], row["sent_at"])
