from __future__ import annotations

import json
from typing import Any

import pytest

from homeport.client.chat.core import BadServer, ChatCore, Presence, Refusal, Said


class Line:
    """A core, what it sends, and how the server answers."""

    def __init__(self) -> None:
        self.core = ChatCore()
        self.sent: list[dict[str, Any]] = []
        self.core.send = lambda message: self.sent.append(json.loads(message))

    def tell(self, **said: Any) -> None:
        self.core.receive(json.dumps(said).encode())

    def answer(self, place: int, **result: Any) -> None:
        self.tell(re=self.sent[place]["n"], ok=result)

    def message(self, number: int, room: str = "lobby") -> None:
        self.tell(push="message", room=room, id=number, at_ms=1500, **{"from": "bob"}, kind="say", text=f"{number}")

    def ids(self) -> list[int]:
        return [event.id for event in self.core.take_events() if isinstance(event, Said)]


@pytest.fixture
def line() -> Line:
    line = Line()
    line.core.begin()
    line.answer(0, account="alice", rooms=[{"room": "lobby", "last_id": 5, "member": True}, {"room": "zoo"}])
    return line


def test_it_begins_where_the_server_says(line: Line) -> None:
    assert line.core.account == "alice"
    assert line.core.rooms == {"lobby": 5}
    line.message(6)
    assert line.core.take_events() == [Said("lobby", 6, 1.5, "bob", "say", "6")]


def test_what_was_heard_is_dropped_and_what_is_missing_is_asked_for(line: Line) -> None:
    for number in (6, 6, 5, 9, 8, 9):
        line.message(number)
    assert line.ids() == [6]
    assert line.sent[1:] == [{"n": 2, "op": "history", "room": "lobby", "after": 6}]
    line.answer(1, messages=[{"room": "lobby", "id": 7, "at_ms": 0, "from": "bob", "kind": "say", "text": "7"}])
    assert line.ids() == [7, 8, 9]


def test_a_gap_that_cannot_be_filled_now_is_asked_for_again(line: Line) -> None:
    line.message(8)
    line.tell(re=2, error={"code": "chat-too-fast", "message": "wait"})
    line.message(9)
    assert [request["op"] for request in line.sent] == ["start", "history", "history"]


def test_a_room_that_is_new_begins_with_its_first_message(line: Line) -> None:
    line.message(3, "@bob")
    assert line.ids() == [3]
    assert line.core.rooms == {"lobby": 5, "@bob": 3}


def test_a_new_connection_asks_again_and_goes_on(line: Line) -> None:
    answers: list[object] = []
    line.core.say("lobby", "hello", answers.append)
    line.message(6)
    line.core.begin()
    first, (start, again) = line.sent[1], line.sent[2:]
    assert again == first
    assert start["after"] == {"lobby": 6}
    line.answer(1, id=7, at_ms=0)
    line.answer(1, id=7, at_ms=0)
    assert answers == [{"id": 7, "at_ms": 0}]
    assert line.core.unanswered == 1


def test_joining_and_leaving(line: Line) -> None:
    answers: list[object] = []
    line.core.join("zoo", answers.append, make=True)
    line.answer(1, room="zoo", last_id=3)
    line.core.leave("zoo", answers.append)
    assert line.core.rooms == {"lobby": 5, "zoo": 3}
    line.answer(2)
    assert line.core.rooms == {"lobby": 5}
    line.core.join("closed", answers.append)
    line.core.leave("closed", answers.append)
    for number in (4, 5):
        line.tell(re=number, error={"code": "room-not-found", "message": "no"})
    assert answers[2:] == [Refusal("room-not-found", "no")] * 2


def test_who_comes_and_goes(line: Line) -> None:
    line.tell(push="presence", name="bob", here=True)
    line.tell(push="something new")
    assert line.core.take_events() == [Presence("bob", here=True)]


def test_without_a_connection_requests_wait() -> None:
    core = ChatCore()
    core.say("lobby", "x", lambda _: None)
    assert core.unanswered == 1


def test_a_refused_beginning_is_told() -> None:
    line = Line()
    told: list[object] = []
    line.core.begin(told.append)
    line.tell(re=1, error={"code": "busy", "message": "no"})
    assert told == [Refusal("busy", "no")]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"push": "message", "room": 3}, "room is no text"),
        ({"push": "message", "room": "a", "id": "x"}, "id is no number"),
        ({"push": "message", "room": "a", "id": True}, "id is no number"),
        ({"push": "presence"}, "name is no text"),
        ({"re": "1"}, "re is no number"),
        ({"re": 2}, "an answer without a result"),
        ({"re": 2, "error": {"code": "x"}}, "message is no text"),
        ({"re": 2, "ok": {"messages": {}}}, "messages is no list of objects"),
        ({"re": 2, "ok": {"messages": [3]}}, "messages is no list of objects"),
    ],
)
def test_a_server_that_makes_no_sense(line: Line, said: dict[str, Any], why: str) -> None:
    line.message(9)
    with pytest.raises(BadServer) as caught:
        line.tell(**said)
    assert str(caught.value) == why


def test_what_cannot_be_read(line: Line) -> None:
    with pytest.raises(BadServer, match="a message that cannot be read"):
        line.core.receive(b"{")
