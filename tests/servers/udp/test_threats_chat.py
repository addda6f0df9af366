"""What one account, with a key of its own, can do to the chat of all others (threats U1 and U2): nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.chats import Chat
from tests.protocols.chat.lossy import Weather, crypto
from tests.servers.udp.chat_town import CLIENT_OPTIONS, SERVER, Town

from homeport.core.state import Database, open_database
from homeport.protocols.chat.session import Session
from homeport.protocols.chat.talk import Request
from homeport.protocols.hptp.strict_json import MAX_CONTROL_BYTES, JsonObject, encode
from homeport.servers.chat_hub import _fitting
from homeport.servers.udp.chat_desk import Desk


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    yield database
    database.close()


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Town:
    return Town(Chat(database, tmp_path / "homes"), Weather())


def desk_of(town: Town) -> Desk:
    assert town.desk is not None
    return town.desk


def visit(town: Town, name: str, where: str) -> Session:
    """The first datagram of a session of that account, with `where` as its sender."""
    keys = town.giving.issue(town.chat.ids[name])
    session = Session(keys.name, crypto(keys.client, keys.server), CLIENT_OPTIONS, town.now, peer=SERVER)
    session.ping()
    ((datagram, _),) = session.take_output(town.now)
    desk_of(town).receive(datagram, where, town.now)
    return session


def test_any_number_of_rooms_keeps_nobody_out(town: Town) -> None:
    for number in range(700):
        town.chat.rooms.make(f"{number:03d}" + "x" * 60)
    alice, bob = town.move_in("alice", "bob")
    alice.join("zzz")
    bob.join("zzz")
    town.settle()
    bob.say("zzz", "hello")
    town.settle()
    answers: list[Any] = []
    alice.core.ask("rooms", {}, answers.append)
    town.run(lambda: bool(answers))
    rooms = answers[0]["rooms"]
    assert (rooms[0]["room"], rooms[0]["member"], rooms[1]["room"][:3]) == ("zzz", True, "000")
    assert 300 < len(rooms) < 701
    assert alice.texts("zzz") == [(1, "bob", "hello")]


def test_the_largest_items_fit_in_an_answer() -> None:
    largest: JsonObject = {"text": "\U0001f600" * 16_000}
    assert len(encode({"messages": _fitting([largest, largest])})) < MAX_CONTROL_BYTES
    assert _fitting([largest, largest]) == [largest]
    assert len(_fitting({"name": "n" * 100} for _ in range(10_000))) == 48 * 1024 // 112


def test_nobody_comes_in_before_his_address_has_answered(town: Town) -> None:
    """Else a forged sender would be charged with sessions, and kept out of every other service."""
    town.move_in("alice")
    for _ in range(5):
        visit(town, "alice", "a victim")
    assert len(desk_of(town).seats) == 5
    assert town.guests == []


def test_one_account_does_not_take_all_seats(town: Town) -> None:
    desk = desk_of(town)
    desk._max_seats = 100
    alice, bob = town.move_in("alice", "bob")
    alice.away = bob.away = True
    for _ in range(200):
        visit(town, "alice", "alice")
    assert (len(desk.seats), desk.counts.turned_away) == (desk.most_of_one, 200 - desk.most_of_one)
    bob.away = False
    bob.join("lobby")
    town.run(lambda: bool(bob.answers))
    assert bob.answers[0]["room"] == "lobby"  # type: ignore[index]
    town.run(lambda: len(desk.seats) == 1)  # alice's have given up
    assert desk._taken == {town.chat.ids["bob"]: 1}


def test_whoever_asks_and_does_not_read_is_put_out(town: Town) -> None:
    town.move_in("alice")
    town.settle()
    (seat,) = desk_of(town).seats.values()
    for _ in range(100):
        seat.push(bytes(16 * 1024))
    assert seat.session.closed == "this client does not read what it is sent"
    assert seat.session.queued_bytes < 1024 * 1024 + 16 * 1024 + 1


def test_what_was_asked_by_somebody_who_goes_while_coming_in_is_answered(town: Town) -> None:
    town.move_in("alice")
    held: list[Any] = []
    town.hub._run = lambda call, done: held.append((call, done))
    town.run(lambda: bool(held))
    (seat,) = desk_of(town).seats.values()
    answers: list[Any] = []
    town.hub.ask(seat, Request(7, "rooms", {}), answers.append)
    assert answers == []
    town.hub.quit(seat)
    assert [str(answer) for answer in answers] == ["the chat was left before this could be done"]
