"""What a client of the chat knows, whatever carries its messages: which rooms it is in, how far it has heard each, and
which of its requests were not answered yet.

The one rule: every message of a room comes out once and in order, across any number of connections: what was heard
already is dropped, where something is missing it is asked for, and what was not answered is asked again.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from homeport.protocols.chat import talk
from homeport.protocols.hptp.strict_json import Json, JsonObject

_HELD = 1000  # messages of a room that are kept while something before them is missing


@dataclass(frozen=True, slots=True)
class Said:
    """A message. `at` is in seconds since the epoch; `kind` is say, me or file."""

    room: str
    id: int
    at: float
    sender: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Presence:
    """Somebody has come or gone."""

    name: str
    here: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request failed: `code` such as room-not-found, and the server's words."""

    code: str
    message: str


Event = Said | Presence
Answered = Callable[[JsonObject | Refusal], None]


class BadServer(Exception):
    """The server says what makes no sense."""


@dataclass(slots=True)
class _Asked:
    op: str
    arguments: Mapping[str, Json]
    answered: Answered


@dataclass(slots=True)
class _Heard:
    last_id: int
    held: dict[int, Said] = field(default_factory=dict)
    asked: bool = False


class ChatCore:
    """`send` is called with each message for the server; set it, and call `begin`, for each new connection."""

    def __init__(self) -> None:
        self.send: Callable[[bytes], None] | None = None
        self.account: str | None = None
        self.events: list[Event] = []
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._heard: dict[str, _Heard] = {}

    @property
    def rooms(self) -> dict[str, int]:
        """The rooms that are listened to, and the last number heard of each."""
        return {room: heard.last_id for room, heard in self._heard.items()}

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer."""
        return len(self._asked)

    def begin(self, answered: Answered | None = None) -> None:
        """A new connection: listen from where the last one ended, and ask again what was not answered."""
        for heard in self._heard.values():
            heard.held.clear()
            heard.asked = False
        self._asked = {number: asked for number, asked in self._asked.items() if asked.op != "start"}
        again = list(self._asked.items())
        self.ask("start", {"after": dict(self.rooms)}, self._started(answered))
        for number, asked in again:
            self._say(talk.request(number, asked.op, asked.arguments))

    def ask(self, op: str, arguments: Mapping[str, Json], answered: Answered) -> None:
        """Send a request now, and again with each new connection until `answered` was called."""
        number = next(self._numbers)
        self._asked[number] = _Asked(op, arguments, answered)
        self._say(talk.request(number, op, arguments))

    def say(self, room: str, text: str, answered: Answered, kind: str = "say") -> None:
        """Say something. However often it is sent again, it is said once: it has a token."""
        token = secrets.token_urlsafe(12)
        self.ask("say", {"room": room, "text": text, "kind": kind, "token": token}, answered)

    def join(self, room: str, answered: Answered, *, make: bool = False) -> None:
        """Listen to a room from now on."""

        def joined(result: JsonObject | Refusal) -> None:
            if not isinstance(result, Refusal):
                self._listen(_text(result, "room"), _number(result, "last_id"))
            answered(result)

        self.ask("join", {"room": room, "make": make}, joined)

    def leave(self, room: str, answered: Answered) -> None:
        """Listen to a room no more."""

        def left(result: JsonObject | Refusal) -> None:
            if not isinstance(result, Refusal):
                self._heard.pop(room, None)
            answered(result)

        self.ask("leave", {"room": room}, left)

    def receive(self, payload: bytes) -> None:
        """A message of the server's has come; see `events`. Raises BadServer."""
        try:
            said = talk.read_object(payload)
        except talk.BadRequest as error:
            raise BadServer(str(error)) from error
        if "re" in said:
            self._answer(said)
        elif said.get("push") == "message":
            self._hear(said_of(said))
        elif said.get("push") == "presence":
            self.events.append(Presence(_text(said, "name"), said.get("here") is True))

    def take_events(self) -> list[Event]:
        """What has happened since the last call."""
        events, self.events = self.events, []
        return events

    def _say(self, message: bytes) -> None:
        if self.send is not None:
            self.send(message)

    def _started(self, answered: Answered | None) -> Answered:
        def started(result: JsonObject | Refusal) -> None:
            if not isinstance(result, Refusal):
                self.account = _text(result, "account")
                for room in _objects(result, "rooms"):
                    if room.get("member") is True:
                        self._listen(_text(room, "room"), _number(room, "last_id"))
            if answered is not None:
                answered(result)

        return started

    def _listen(self, room: str, last_id: int) -> None:
        self._heard.setdefault(room, _Heard(last_id))

    def _answer(self, said: JsonObject) -> None:
        asked = self._asked.pop(_number(said, "re"), None)
        if asked is None:
            return  # the answer to a request that was answered on an earlier connection
        result, error = said.get("ok"), said.get("error")
        if isinstance(result, dict):
            asked.answered(result)
        elif isinstance(error, dict):
            asked.answered(Refusal(_text(error, "code"), _text(error, "message")))
        else:
            raise BadServer("an answer without a result")

    def _hear(self, said: Said) -> None:
        heard = self._heard.setdefault(said.room, _Heard(said.id - 1))
        if said.id <= heard.last_id or len(heard.held) >= _HELD:
            return
        heard.held[said.id] = said
        while (ready := heard.held.pop(heard.last_id + 1, None)) is not None:
            heard.last_id += 1
            self.events.append(ready)
        if heard.held and not heard.asked:
            heard.asked = True
            self.ask("history", {"room": said.room, "after": heard.last_id}, lambda told: self._filled(heard, told))

    def _filled(self, heard: _Heard, told: JsonObject | Refusal) -> None:
        heard.asked = False
        if not isinstance(told, Refusal):
            for message in _objects(told, "messages"):
                self._hear(said_of(message))


def said_of(message: Mapping[str, Json]) -> Said:
    """A message of the server's. Raises BadServer."""
    return Said(
        _text(message, "room"),
        _number(message, "id"),
        _number(message, "at_ms") / 1000,
        _text(message, "from"),
        _text(message, "kind"),
        _text(message, "text"),
    )


def _text(said: Mapping[str, Json], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise BadServer(f"{name} is no text")
    return value


def _number(said: Mapping[str, Json], name: str) -> int:
    value = said.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadServer(f"{name} is no number")
    return value


def _objects(said: Mapping[str, Json], name: str) -> list[JsonObject]:
    value = said.get(name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BadServer(f"{name} is no list of objects")
    return [each for each in value if isinstance(each, dict)]
