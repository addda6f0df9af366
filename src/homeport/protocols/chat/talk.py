"""What clients and the server say to each other, once datagrams (or HPTP) carry messages: JSON objects.

    request   {"n": 7, "op": "say", "room": "lobby", "text": "hello", "token": "..."}
    answer    {"re": 7, "ok": {...}}  or  {"re": 7, "error": {"code": "room-not-found", "message": "..."}}
    push      {"push": "message", "room": ..., "id": ..., "at_ms": ..., "from": ..., "kind": ..., "text": ...}
              {"push": "presence", "name": ..., "here": true}

The one rule: a request is checked whole, against the table, before anybody acts on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from homeport.protocols.hptp.faults import ProtocolFault
from homeport.protocols.hptp.strict_json import Json, JsonObject, decode, encode

MAX_AFTER = 1000  # rooms in one `start`
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MAX_NUMBER = (1 << 62) - 1
_MAX_NAME = 256
_MAX_TEXT = 20_000


class BadRequest(Exception):
    """A request that follows no rule; the text says which."""


def _text(longest: int) -> Callable[[Json], bool]:
    return lambda value: isinstance(value, str) and len(value) <= longest


def _number(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_NUMBER


def _flag(value: Json) -> bool:
    return isinstance(value, bool)


def _places(value: Json) -> bool:
    return isinstance(value, dict) and len(value) <= MAX_AFTER and all(map(_number, value.values()))


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument may be, in words and as a test."""

    words: str
    fits: Callable[[Json], bool]
    required: bool = True


_ROOM = Argument("the name of a room, or @NAME", _text(_MAX_NAME))
_NUMBER = Argument("a number from 0 up", _number, required=False)

OPERATIONS: Mapping[str, Mapping[str, Argument]] = MappingProxyType(
    {
        "start": {"after": Argument("an object of rooms with numbers", _places, required=False)},
        "join": {"room": _ROOM, "make": Argument("true or false", _flag, required=False)},
        "leave": {"room": _ROOM},
        "rooms": {},
        "who": {"room": Argument("the name of a room, or @NAME", _text(_MAX_NAME), required=False)},
        "say": {
            "room": _ROOM,
            "text": Argument("text", _text(_MAX_TEXT)),
            "token": Argument("a text of the sender's own", _text(_MAX_NAME)),
            "kind": Argument("say, me or file", _text(_MAX_NAME), required=False),
        },
        "history": {"room": _ROOM, "after": _NUMBER, "before": _NUMBER, "limit": _NUMBER},
        "read": {"room": _ROOM, "id": Argument("a number from 0 up", _number)},
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose arguments fit; those that were left out are not there."""

    number: int
    op: str
    arguments: Mapping[str, Json]


def read_request(payload: bytes) -> Request:
    """The request in a message. Raises BadRequest."""
    said = read_object(payload)
    number = said.get("n")
    if not isinstance(number, int) or not _number(number):
        raise BadRequest("a request needs its number n")
    return check_request(number, said)


def check_request(number: int, said: Mapping[str, Json]) -> Request:
    """The request in an object with `op` and its arguments. Raises BadRequest."""
    op = said.get("op")
    shapes = OPERATIONS.get(op) if isinstance(op, str) else None
    if shapes is None or not isinstance(op, str):
        raise BadRequest(f"no operation is called {str(op)[:40]!r}; there are {', '.join(OPERATIONS)}")
    arguments: dict[str, Json] = {}
    for name, shape in shapes.items():
        value = said.get(name)
        if value is None and not shape.required:
            continue
        if not shape.fits(value):
            raise BadRequest(f"{op}: the argument {name} must be {shape.words}")
        arguments[name] = value
    return Request(number, op, arguments)


def read_object(payload: bytes) -> JsonObject:
    """The object in a message. Raises BadRequest."""
    try:
        return decode(payload)
    except ProtocolFault as error:
        raise BadRequest(f"a message that cannot be read: {error}") from error


def request(number: int, op: str, arguments: Mapping[str, Json]) -> bytes:
    """A request as a message."""
    return encode({"n": number, "op": op, **{name: value for name, value in arguments.items() if value is not None}})


def answer(number: int, result: Mapping[str, Json]) -> bytes:
    """The answer of a request that went well."""
    return encode({"re": number, "ok": dict(result)})


def refusal(number: int, code: str, message: str) -> bytes:
    """The answer of one that did not."""
    return encode({"re": number, "error": {"code": code, "message": message}})


def push(kind: str, members: Mapping[str, Json]) -> bytes:
    """What nobody asked for at that moment."""
    return encode({"push": kind, **members})


def code_of(name: str) -> str:
    """What an error called `RoomNotFound` is called in a refusal: room-not-found, as in HPTP."""
    return _CAPITAL.sub("-", name).lower()
