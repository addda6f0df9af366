from __future__ import annotations

import json
import random
from typing import Any

import pytest

from homeport.protocols.chat.talk import (
    MAX_AFTER,
    OPERATIONS,
    BadRequest,
    Request,
    answer,
    code_of,
    push,
    read_object,
    read_request,
    refusal,
    request,
)

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("start", {}),
    ("start", {"after": {"lobby": 7, "@bob": 0}}),
    ("join", {"room": "lobby", "make": True}),
    ("leave", {"room": "@bob"}),
    ("rooms", {}),
    ("who", {}),
    ("who", {"room": "lobby"}),
    ("say", {"room": "lobby", "text": "你好\n", "token": "t", "kind": "me"}),
    ("history", {"room": "lobby", "after": 3, "before": 9, "limit": 5}),
    ("read", {"room": "lobby", "id": 3}),
]


@pytest.mark.parametrize(("op", "arguments"), GOOD)
def test_requests_both_ways(op: str, arguments: dict[str, Any]) -> None:
    assert read_request(request(7, op, arguments)) == Request(7, op, arguments)
    assert read_request(request(7, op, {**arguments, "unknown": 1, "none": None})) == Request(7, op, arguments)


def test_every_operation_is_tried() -> None:
    assert {op for op, _ in GOOD} == set(OPERATIONS)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"op": "rooms"}, "a request needs its number n"),
        ({"n": True, "op": "rooms"}, "a request needs its number n"),
        ({"n": -1, "op": "rooms"}, "a request needs its number n"),
        ({"n": 1}, "no operation is called 'None'; there are start, join, leave, rooms, who, say, history, read"),
        ({"n": 1, "op": ["rooms"]}, "no operation is called \"['rooms']\"; there are start, "),
        ({"n": 1, "op": "shout"}, "no operation is called 'shout'; there are start, "),
        ({"n": 1, "op": "join"}, "join: the argument room must be the name of a room, or @NAME"),
        ({"n": 1, "op": "join", "room": 3}, "join: the argument room must be the name of a room, or @NAME"),
        ({"n": 1, "op": "join", "room": "x" * 257}, "join: the argument room must be the name of a room, or @NAME"),
        ({"n": 1, "op": "join", "room": "x", "make": 1}, "join: the argument make must be true or false"),
        ({"n": 1, "op": "read", "room": "x", "id": True}, "read: the argument id must be a number from 0 up"),
        ({"n": 1, "op": "read", "room": "x", "id": 1 << 62}, "read: the argument id must be a number from 0 up"),
        ({"n": 1, "op": "start", "after": []}, "start: the argument after must be an object of rooms with numbers"),
        (
            {"n": 1, "op": "start", "after": {str(n): n for n in range(MAX_AFTER + 1)}},
            "start: the argument after must be an object of rooms with numbers",
        ),
        ({"n": 1, "op": "say", "room": "x", "token": "t", "text": "x" * 20_001}, "say: the argument text must be text"),
    ],
)
def test_what_is_no_request(said: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(json.dumps(said).encode())
    assert str(caught.value).startswith(why)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"n": 1.5}', b'{"n": 1, "n": 2}', b"\xff", b"[" * 100])
def test_what_cannot_be_read(payload: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^a message that cannot be read: "):
        read_request(payload)


def test_answers_and_pushes() -> None:
    assert read_object(answer(7, {"id": 3})) == {"re": 7, "ok": {"id": 3}}
    assert read_object(refusal(7, "room-not-found", "no")) == {
        "re": 7,
        "error": {"code": "room-not-found", "message": "no"},
    }
    assert read_object(push("presence", {"name": "bob", "here": True})) == {
        "push": "presence",
        "name": "bob",
        "here": True,
    }


@pytest.mark.parametrize(
    ("name", "code"), [("RoomNotFound", "room-not-found"), ("Busy", "busy"), ("ChatTooFast", "chat-too-fast")]
)
def test_codes_of_errors(name: str, code: str) -> None:
    assert code_of(name) == code


def test_u3_noise_is_a_request_or_the_error() -> None:
    noise = random.Random(6)
    good = request(1, "say", {"room": "lobby", "text": "hello", "token": "t"})
    refused = 0
    for _ in range(5000):
        changed = bytearray(good)
        for _ in range(noise.randrange(1, 4)):
            changed[noise.randrange(len(changed))] = noise.randrange(256)
        try:
            assert read_request(bytes(changed)).op in OPERATIONS
        except BadRequest:
            refused += 1
    assert refused > 1000
