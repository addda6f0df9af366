"""The chat of one worker: what is asked is done by the core, and what is said reaches everybody who listens.

The one rule: a listener hears every message of its rooms once and in order, however fast it is and whoever stored the
message. For each room it has a cursor, the last number that it was given; what follows the cursor is given at once, and
where something is missing, or the listener is slow, the rest is read from the database, when there is room for it.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from homeport.core.chat_log import ChatLog, Message, Outcome, Post
from homeport.core.chat_rooms import ChatRooms, RoomView
from homeport.core.errors import ChatTooFast, HomeportError, InvalidMessage, StateUnavailable
from homeport.protocols.chat import talk
from homeport.protocols.hptp.strict_json import Json, JsonObject, encode
from homeport.servers.request_rates import RequestRates, Verdict

_log = logging.getLogger(__name__)

_BATCH = 500  # messages stored in one transaction
_CHUNK = 100  # messages read at once for somebody who missed them
_GONE = "the chat was left before this could be done"
_PRESENCE_ROOM = 50  # listeners of a room who are told who comes and goes; in larger ones it is asked for

Done = Callable[[Any], None]
Reply = Callable[[JsonObject | HomeportError], None]
Run = Callable[[Callable[[], Any], Done], None]
"""Have a call, which blocks, done in a thread, and its result or exception given back on the loop."""


class Listener(Protocol):
    """Somebody who listens: a session on UDP, or a request of HPTP."""

    account_id: int
    account: str

    def push(self, message: bytes) -> None:
        """Give it a message of the server's."""
        ...

    @property
    def takes_more(self) -> bool:
        """Whether it has read most of what it was given."""
        ...


@dataclass(frozen=True, slots=True)
class HubRules:
    """How much an account may do: messages, and requests of all kinds, a second and at once."""

    messages_per_s: float = 5.0
    message_burst: float = 20.0
    requests_per_s: float = 20.0
    request_burst: float = 100.0


@dataclass(slots=True)
class _Cursor:
    name: str  # what the listener calls the room
    last_id: int
    reading: bool = False
    missed: bool = False  # something was said while it was reading, perhaps too late for what it reads


@dataclass(slots=True)
class _Entry:
    cursors: dict[int, _Cursor] = field(default_factory=dict)


class ChatHub:
    """For the event loop's thread. `ring` (see `set_bell`) tells other workers that a room has something new."""

    def __init__(
        self,
        log: ChatLog,
        rooms: ChatRooms,
        run: Run,
        rules: HubRules | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rules = rules or HubRules()
        self._chat = log
        self._rooms = rooms
        self._run = run
        self._clock = clock
        self._ring: Callable[[int], None] = _silence
        self._listeners: dict[Listener, _Entry] = {}
        self._starting: dict[Listener, list[tuple[talk.Request, Reply]]] = {}
        self._in_room: defaultdict[int, dict[Listener, _Cursor]] = defaultdict(dict)
        self._waiting: list[tuple[Post, Reply]] = []
        self._storing = False
        self._messages = RequestRates(self.rules.messages_per_s, self.rules.message_burst)
        self._requests = RequestRates(self.rules.requests_per_s, self.rules.request_burst)
        self._lagging: set[tuple[Listener, int]] = set()
        self._operations: Mapping[str, Callable[[Listener, Mapping[str, Any], Reply], None]] = {
            "start": self._start,
            "join": self._join,
            "leave": self._leave,
            "rooms": self._list,
            "who": self._who,
            "say": self._say,
            "history": self._history,
            "read": self._read,
        }

    def set_bell(self, ring: Callable[[int], None]) -> None:
        """Call `ring` with the id of a room in which something was said."""
        self._ring = ring

    @property
    def present(self) -> frozenset[str]:
        """The names of the accounts that listen."""
        return frozenset(listener.account for listener in self._listeners)

    def ask(self, listener: Listener, request: talk.Request, reply: Reply) -> None:
        """Do what a request asks, and answer it once."""
        if self._requests.take(str(listener.account_id), self._clock()) is not Verdict.ALLOWED:
            reply(ChatTooFast(str(request.arguments.get("room", "")), 1.0 / self.rules.requests_per_s))
            return
        if listener in self._starting and request.op != "start":
            self._starting[listener].append((request, reply))  # it would not be in its rooms yet
            return
        self._operations[request.op](listener, request.arguments, reply)

    def quit(self, listener: Listener) -> None:
        """It listens no more. Works twice."""
        for request, reply in self._starting.pop(listener, ()):
            reply(InvalidMessage(str(request.arguments.get("room", "")), _GONE))
        entry = self._listeners.pop(listener, None)
        if entry is None:
            return
        for room_id in entry.cursors:
            self._out_of(room_id, listener)
        self._lagging = {pair for pair in self._lagging if pair[0] is not listener}
        if listener.account not in self.present:
            self._tell_presence(entry, listener.account, here=False)

    def heard_elsewhere(self, room_id: int) -> None:
        """Another worker has stored something in a room."""
        if self._in_room.get(room_id):
            for listener in list(self._in_room[room_id]):
                self._catch_up(listener, room_id)
        if self._listeners:
            self._run(lambda: self._rooms.member_ids(room_id), lambda ids: self._welcome(room_id, ids))

    def tick(self) -> None:
        """Now and then: go on for those who were slow."""
        for listener, room_id in list(self._lagging):
            if listener.takes_more:
                self._catch_up(listener, room_id)

    def find_unwelcome(self, account_ids: frozenset[int], done: Callable[[frozenset[int]], None]) -> None:
        """Call `done` with those of the accounts that may not stay."""

        def found(ids: frozenset[int] | BaseException) -> None:
            if not isinstance(ids, BaseException):
                done(ids)

        self._run(lambda: self._rooms.unwelcome(account_ids), found)

    def review(self) -> None:
        """Now and then: who may not read a room any more hears it no more, and rooms that are gone are forgotten."""
        for room_id in list(self._in_room):

            def found(ids: frozenset[int] | BaseException, room_id: int = room_id) -> None:
                if isinstance(ids, BaseException):
                    return
                for listener in list(self._in_room.get(room_id, ())):
                    if listener.account_id not in ids:
                        self._listeners[listener].cursors.pop(room_id, None)
                        self._out_of(room_id, listener)

            self._run(functools.partial(self._rooms.member_ids, room_id), found)

    # Requests

    def _start(self, listener: Listener, arguments: Mapping[str, Any], reply: Reply) -> None:
        after: Mapping[str, int] = arguments.get("after") or {}
        self._starting.setdefault(listener, [])

        def found(views: list[RoomView] | BaseException) -> None:
            waiting = self._starting.pop(listener, None)
            if waiting is None:
                return  # it has quit meanwhile
            if isinstance(views, BaseException):
                reply(_error(views))
            else:
                started(views)
            for request, reply_to_it in waiting:
                self._operations[request.op](listener, request.arguments, reply_to_it)

        def started(views: list[RoomView]) -> None:
            is_new = listener.account not in self.present
            entry = self._listeners.setdefault(listener, _Entry())
            reply({"account": listener.account, **_rooms(views)})
            for view in views:
                if view.member:
                    self._enter(listener, view, after.get(view.name, view.room.last_id))
            if is_new:
                self._tell_presence(entry, listener.account, here=True)

        self._run(lambda: self._rooms.of(listener.account_id), found)

    def _join(self, listener: Listener, arguments: Mapping[str, Any], reply: Reply) -> None:
        room, make = arguments["room"], arguments.get("make", False)

        def joined(view: RoomView | BaseException) -> None:
            if isinstance(view, BaseException):
                reply(_error(view))
                return
            reply(_shown(view))
            for other in self._of_account(listener.account_id):
                self._enter(other, view, view.room.last_id)

        self._run(lambda: self._rooms.join(listener.account_id, room, make=make), joined)

    def _leave(self, listener: Listener, arguments: Mapping[str, Any], reply: Reply) -> None:
        room = arguments["room"]

        def left(found: Any) -> None:
            if isinstance(found, BaseException):
                reply(_error(found))
                return
            for other in self._of_account(listener.account_id):
                self._listeners[other].cursors.pop(found.id, None)
                self._out_of(found.id, other)
            reply({})

        self._run(lambda: self._rooms.leave(listener.account_id, room), left)

    def _list(self, listener: Listener, _: Mapping[str, Any], reply: Reply) -> None:
        def found(views: list[RoomView] | BaseException) -> None:
            reply(_error(views) if isinstance(views, BaseException) else _rooms(views))

        self._run(lambda: self._rooms.of(listener.account_id), found)

    def _who(self, listener: Listener, arguments: Mapping[str, Any], reply: Reply) -> None:
        room = arguments.get("room")

        def found(names: list[str] | BaseException) -> None:
            if isinstance(names, BaseException):
                reply(_error(names))
                return
            present = self.present
            reply({"members": _fitting({"name": name, "here": name in present} for name in names)})

        if room is None:
            found(sorted(self.present, key=str.casefold))
        else:
            self._run(lambda: self._rooms.members(listener.account_id, room), found)

    def _say(self, listener: Listener, arguments: Mapping[str, Any], reply: Reply) -> None:
        room = arguments["room"]
        if self._messages.take(str(listener.account_id), self._clock()) is not Verdict.ALLOWED:
            reply(ChatTooFast(room, 1.0 / self.rules.messages_per_s))
            return
        kind = arguments.get("kind", "say")
        post = Post(listener.account_id, listener.account, room, arguments["text"], arguments["token"], kind)
        self._waiting.append((post, reply))
        self._store()

    def _history(self, listener: Listener, arguments: Mapping[str, Any], reply: Reply) -> None:
        room, bounds = arguments["room"], {key: arguments.get(key) for key in ("after", "before")}
        limit = min(arguments.get("limit", _CHUNK), _CHUNK)

        def found(messages: list[Message] | BaseException) -> None:
            if isinstance(messages, BaseException):
                reply(_error(messages))
            else:
                reply({"messages": _fitting(_said(message, room) for message in messages)})

        self._run(lambda: self._chat.history(listener.account_id, room, **bounds, limit=limit), found)

    def _read(self, listener: Listener, arguments: Mapping[str, Any], reply: Reply) -> None:
        room, number = arguments["room"], arguments["id"]
        self._run(
            lambda: self._chat.mark_read(listener.account_id, room, number),
            lambda failed: reply(_error(failed) if isinstance(failed, BaseException) else {}),
        )

    # What is said

    def _store(self) -> None:
        """Store what waits, one transaction at a time: what comes meanwhile goes into the next."""
        if self._storing or not self._waiting:
            return
        batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        self._storing = True
        posts = [post for post, _ in batch]

        def stored(outcomes: list[Outcome] | BaseException) -> None:
            self._storing = False
            told: list[Any] = [outcomes] * len(batch) if isinstance(outcomes, BaseException) else outcomes
            for (_, reply), outcome in zip(batch, told, strict=True):
                if isinstance(outcome, Message):
                    reply({"id": outcome.id, "at_ms": _ms(outcome.at)})
                else:
                    reply(_error(outcome))
            self._spread([outcome for outcome in told if isinstance(outcome, Message)])
            self._store()

        self._run(lambda: self._chat.post(posts), stored)

    def _spread(self, messages: Iterable[Message]) -> None:
        rooms: set[int] = set()
        for message in messages:
            rooms.add(message.room.id)
            if message.room.direct:
                self._welcome_pair(message)
            payload: dict[str, bytes] = {}
            for listener, cursor in list(self._in_room[message.room.id].items()):
                if message.id != cursor.last_id + 1 or cursor.reading or not listener.takes_more:
                    if message.id > cursor.last_id:
                        self._catch_up(listener, message.room.id)
                    continue
                cursor.last_id = message.id
                if cursor.name not in payload:
                    payload[cursor.name] = talk.push("message", _said(message, cursor.name))
                listener.push(payload[cursor.name])
        for room_id in rooms:
            self._ring(room_id)

    def _welcome_pair(self, message: Message) -> None:
        """Whoever is talked to for the first time hears it, though he has not asked for this conversation."""
        for account_id in message.room.pair:
            for listener in self._of_account(account_id):
                if message.room.id not in self._listeners[listener].cursors:
                    self._refresh(listener)

    def _welcome(self, room_id: int, ids: frozenset[int] | BaseException) -> None:
        if isinstance(ids, BaseException):
            return
        for listener, entry in list(self._listeners.items()):
            if listener.account_id in ids and room_id not in entry.cursors:
                self._refresh(listener)

    def _refresh(self, listener: Listener) -> None:
        """Look again which rooms a listener is in; a conversation that is new to it is given from its beginning."""

        def found(views: list[RoomView] | BaseException) -> None:
            if isinstance(views, BaseException) or listener not in self._listeners:
                return
            for view in views:
                if view.member:
                    self._enter(listener, view, 0 if view.room.direct else view.room.last_id)

        self._run(lambda: self._rooms.of(listener.account_id), found)

    def _catch_up(self, listener: Listener, room_id: int) -> None:
        """Give a listener what it missed in a room, a piece at a time."""
        cursor = self._in_room[room_id].get(listener)
        if cursor is None:
            return
        if cursor.reading:
            cursor.missed = True
            return
        if not listener.takes_more:
            self._lagging.add((listener, room_id))
            return
        self._lagging.discard((listener, room_id))
        cursor.reading, cursor.missed = True, False

        def found(messages: list[Message] | BaseException) -> None:
            cursor.reading = False
            if isinstance(messages, BaseException):
                self._lagging.add((listener, room_id))
                return
            if self._in_room[room_id].get(listener) is not cursor:
                return
            for message in messages:
                if message.id > cursor.last_id:
                    cursor.last_id = message.id
                    listener.push(talk.push("message", _said(message, cursor.name)))
            if messages or cursor.missed:  # there may be more
                self._catch_up(listener, room_id)

        self._run(lambda: self._chat.after(room_id, cursor.last_id, _CHUNK), found)

    # Who is there

    def _enter(self, listener: Listener, view: RoomView, after: int) -> None:
        entry = self._listeners.get(listener)
        if entry is None or view.room.id in entry.cursors:
            return
        cursor = _Cursor(view.name, min(after, view.room.last_id))
        entry.cursors[view.room.id] = self._in_room[view.room.id][listener] = cursor
        self._catch_up(listener, view.room.id)

    def _out_of(self, room_id: int, listener: Listener) -> None:
        there = self._in_room[room_id]
        there.pop(listener, None)
        if not there:
            del self._in_room[room_id]

    def _of_account(self, account_id: int) -> list[Listener]:
        return [listener for listener in self._listeners if listener.account_id == account_id]

    def _tell_presence(self, entry: _Entry, name: str, *, here: bool) -> None:
        told = {listener for room_id in entry.cursors for listener in self._audience(room_id)}
        message = talk.push("presence", {"name": name, "here": here})
        for listener in told:
            if listener.account != name and listener.takes_more:
                listener.push(message)

    def _audience(self, room_id: int) -> Iterable[Listener]:
        there = self._in_room.get(room_id, {})
        return there if len(there) <= _PRESENCE_ROOM else ()


def _silence(_: int) -> None:
    """Nobody else is to be told."""


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _shown(view: RoomView) -> JsonObject:
    return {"room": view.name, "last_id": view.room.last_id, "read_id": view.read_id, "member": view.member}


def _said(message: Message, room: str) -> JsonObject:
    return {
        "room": room,
        "id": message.id,
        "at_ms": _ms(message.at),
        "from": message.sender,
        "kind": message.kind,
        "text": message.text,
    }


def _rooms(views: Iterable[RoomView]) -> JsonObject:
    """As many rooms as one answer holds, those that the account is in first: others may make any number."""
    return {"rooms": _fitting(_shown(view) for view in sorted(views, key=lambda view: not view.member))}


_MAX_ANSWER = 48 * 1024  # bytes of a list in one answer; who wants more messages asks again


def _fitting(items: Iterable[JsonObject]) -> list[Json]:
    """As many of the items as go into one answer, at least one."""
    fitting: list[Json] = []
    size = 0
    for item in items:
        size += len(encode(item)) + 1
        if size > _MAX_ANSWER and fitting:
            break
        fitting.append(item)
    return fitting


def _error(error: BaseException) -> HomeportError:
    if isinstance(error, HomeportError):
        return error
    _log.error("a request of the chat ended with an error of ours", exc_info=error)
    return StateUnavailable("a mistake of the server's, which is in its log now")
