"""The chat as its clients meet it, over a fine network in memory: hub, desk, keys, database and the client's core."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.chats import Chat
from tests.protocols.chat.lossy import Weather
from tests.servers.udp.chat_town import SERVER, Resident, Town, at_once

from homeport.client.chat.core import Presence, Refusal
from homeport.core.chat_names import ChatRights
from homeport.core.errors import LoginRefused
from homeport.core.state import Database, open_database
from homeport.protocols.chat.frames import CHALLENGE_BYTES
from homeport.servers.chat_hub import ChatHub, HubRules
from homeport.servers.udp.chat_desk import Desk

FINE = Weather()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    yield database
    database.close()


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Town:
    return Town(Chat(database, tmp_path / "homes"), FINE)


def desk_of(town: Town) -> Desk:
    assert town.desk is not None
    return town.desk


def asked(town: Town, person: Resident, op: str, **arguments: Any) -> Any:
    """A request's answer."""
    answers: list[Any] = []
    person.core.ask(op, arguments, answers.append)
    town.run(lambda: bool(answers))
    return answers[0]


def in_room(town: Town, room: str, *names: str) -> list[Resident]:
    people = town.move_in(*names)
    for person in people:
        person.join(room)
    town.settle()
    return people


def test_what_is_said_reaches_everybody_in_the_room_once(town: Town) -> None:
    alice, bob = in_room(town, "lobby", "alice", "bob")
    (carol,) = town.move_in("carol")
    town.settle()
    alice.say("lobby", "hello")
    bob.say("lobby", "你好")
    town.settle()
    assert alice.texts("lobby") == bob.texts("lobby") == town.chat.heard("alice", "lobby")
    assert len(alice.heard) == 2
    assert carol.heard == []
    assert alice.answers[-1] == {"id": 1, "at_ms": 1_000_000}


def test_whoever_comes_later_reads_what_was_said_and_hears_the_rest(town: Town) -> None:
    (alice,) = in_room(town, "lobby", "alice")
    alice.say("lobby", "early")
    town.settle()
    (bob,) = in_room(town, "lobby", "bob")
    alice.say("lobby", "late")
    town.settle()
    assert bob.texts("lobby") == [(2, "alice", "late")]
    told = asked(town, bob, "history", room="lobby")
    assert [(said["id"], said["text"]) for said in told["messages"]] == [(1, "early"), (2, "late")]
    assert asked(town, bob, "read", room="lobby", id=2) == {}
    assert asked(town, bob, "rooms") == {"rooms": [{"room": "lobby", "last_id": 2, "read_id": 2, "member": True}]}


def test_who_was_away_hears_what_was_missed(town: Town) -> None:
    alice, bob = in_room(town, "lobby", "alice", "bob")
    bob.away = True
    for number in range(250):
        alice.say("lobby", f"{number}")
    alice.say("@bob", "where are you?")
    town.settle()
    town.run(lambda: desk_of(town).seats.keys() == {alice.session.name if alice.session else b""}, 200)
    bob.away = False
    town.run(lambda: bob.connections == 2)
    town.settle()
    assert bob.texts("lobby") == town.chat.heard("bob", "lobby")
    assert bob.texts("@alice") == []  # a conversation that it did not know of: it is told by `rooms`
    told = {room["room"]: room["last_id"] for room in asked(town, bob, "rooms")["rooms"]}
    assert told == {"lobby": 250, "@alice": 1}


def test_a_conversation_begins_when_one_speaks(town: Town) -> None:
    alice, bob, carol = town.move_in("alice", "bob", "carol")
    town.settle()
    alice.say("@bob", "psst")
    town.settle()
    bob.say("@alice", "yes?")
    town.settle()
    assert alice.texts("@bob") == bob.texts("@alice") == [(1, "alice", "psst"), (2, "bob", "yes?")]
    assert carol.heard == []


def test_who_is_there(town: Town) -> None:
    alice, bob = in_room(town, "lobby", "alice", "bob")
    assert asked(town, alice, "who", room="lobby") == {
        "members": [{"name": "alice", "here": True}, {"name": "bob", "here": True}]
    }
    assert bob.session is not None
    bob.session.close("bye")
    bob.away = True
    for data, where in bob.session.take_output(town.now):
        town.network.send(data, "bob", where)
    seen: list[Any] = []
    alice.core.take_events = lambda: seen.extend(alice.core.events) or alice.core.events.clear() or []  # type: ignore[func-returns-value,method-assign]
    town.run(lambda: Presence("bob", here=False) in seen)
    assert asked(town, alice, "who") == {"members": [{"name": "alice", "here": True}]}
    bob.away = False
    town.run(lambda: Presence("bob", here=True) in seen)
    assert [guest.left for guest in town.guests if guest.account == "bob"] == [True, False]


def test_who_leaves_hears_no_more(town: Town) -> None:
    alice, bob = in_room(town, "lobby", "alice", "bob")
    left: list[Any] = []
    bob.core.leave("lobby", left.append)
    town.settle()
    alice.say("lobby", "anybody?")
    town.settle()
    assert (left, bob.heard, "lobby" in bob.core.rooms) == ([{}], [], False)


@pytest.mark.parametrize(
    ("op", "arguments", "refusal"),
    [
        ("join", {"room": "nowhere"}, "room-not-found"),
        ("leave", {"room": "nowhere"}, "room-not-found"),
        ("who", {"room": "nowhere"}, "room-not-found"),
        ("history", {"room": "nowhere"}, "room-not-found"),
        ("read", {"room": "nowhere", "id": 1}, "room-not-found"),
        ("say", {"room": "nowhere", "text": "x", "token": "t"}, "room-not-found"),
        ("say", {"room": "lobby", "text": "\x1b[2J", "token": "t"}, "invalid-message"),
    ],
)
def test_refusals_have_codes(town: Town, op: str, arguments: dict[str, Any], refusal: str) -> None:
    (alice,) = in_room(town, "lobby", "alice")
    told = asked(town, alice, op, **arguments)
    assert isinstance(told, Refusal)
    assert told.code == refusal


def test_who_is_kept_out_hears_no_more(town: Town) -> None:
    alice, bob = in_room(town, "lobby", "alice", "bob")
    town.chat.rooms.decide("bob", ChatRights.NONE, room="lobby")
    town.hub.review()
    alice.say("lobby", "he is gone")
    town.settle()
    assert (len(alice.heard), bob.heard) == (1, [])
    told = asked(town, bob, "say", room="lobby", text="still here", token="t")
    assert isinstance(told, Refusal)
    assert told.code == "chat-right-missing"


def test_one_account_cannot_flood_a_room(database: Database, tmp_path: Path) -> None:
    rules = HubRules(messages_per_s=5, message_burst=20, requests_per_s=50, request_burst=200)
    town = Town(Chat(database, tmp_path / "homes"), FINE, rules=rules)
    alice, bob = in_room(town, "lobby", "alice", "bob")
    for number in range(1000):
        alice.say("lobby", f"{number}")
    town.settle()
    assert 20 <= len(bob.heard) <= 200
    codes = {answer.code for answer in alice.answers if isinstance(answer, Refusal)}
    assert codes == {"chat-too-fast"}
    bob.say("lobby", "my turn")
    town.settle()
    assert bob.heard[-1].text == "my turn"


def test_other_workers_ring_and_the_room_is_read(town: Town) -> None:
    (alice,) = in_room(town, "lobby", "alice")
    rung: list[int] = []
    town.hub.set_bell(rung.append)
    alice.say("lobby", "here")
    town.settle()
    town.chat.add("bob")
    elsewhere = town.chat.say("bob", "lobby", "from another worker")
    town.hub.heard_elsewhere(elsewhere.room.id)
    town.settle()
    assert rung == [elsewhere.room.id]
    assert alice.texts("lobby") == [(1, "alice", "here"), (2, "bob", "from another worker")]
    direct = town.chat.say("bob", "@alice", "psst")
    town.hub.heard_elsewhere(direct.room.id)
    town.settle()
    assert alice.texts("@bob") == [(1, "bob", "psst")]


def test_a_gap_is_filled_before_what_follows_it(town: Town) -> None:
    (alice,) = in_room(town, "lobby", "alice")
    town.chat.add("bob")
    town.chat.say("bob", "lobby", "unheard")
    alice.say("lobby", "and mine")
    town.settle()
    assert [text for _, _, text in alice.texts("lobby")] == ["unheard", "and mine"]


def test_what_is_said_while_somebody_is_reading_is_not_missed(town: Town) -> None:
    """What was read began before the message was stored, and ended after it had been given to all others."""
    (alice,) = in_room(town, "lobby", "alice")
    town.chat.add("bob")
    held: list[Any] = []
    town.hub._run = lambda call, done: held.append((call(), done))  # it ends when the test says so
    room = town.chat.rooms.all()[0]
    (listener,) = town.hub._listeners
    town.hub._catch_up(listener, room.id)
    said = town.chat.say("bob", "lobby", "meanwhile")
    town.hub._spread([said])
    town.hub._run = at_once
    for result, done in held:
        done(result)
    town.settle()
    assert alice.texts("lobby") == [(1, "bob", "meanwhile")]


def test_what_is_asked_while_somebody_comes_in_waits_for_that(town: Town) -> None:
    """Threads may end in any order; whoever joins a room with the first breath must hear it nevertheless."""
    alice, bob = town.move_in("alice", "bob")
    held: list[Any] = []
    town.hub._run = lambda call, done: held.append((call, done))
    alice.join("lobby")
    town.run(lambda: len(held) == 2)  # both have begun to come in, and asked for more
    town.run(lambda begin=town.now: town.now > begin + 0.1)  # type: ignore[misc]
    assert len(held) == 2
    town.hub._run = at_once
    for call, done in reversed(held):
        at_once(call, done)
    bob.join("lobby")
    town.settle()
    bob.say("lobby", "hello")
    town.settle()
    assert alice.texts("lobby") == bob.texts("lobby") == [(1, "bob", "hello")]


def test_who_goes_while_coming_in_is_not_there(town: Town) -> None:
    (alice,) = town.move_in("alice")
    held: list[Any] = []
    town.hub._run = lambda call, done: held.append((call, done))
    town.run(lambda: bool(held))
    (seat,) = desk_of(town).seats.values()
    town.hub.quit(seat)
    town.hub._run = at_once
    for call, done in held:
        at_once(call, done)
    assert town.hub.present == frozenset()
    assert alice.session is not None


# Sessions: threat U2


def test_u2_strangers_get_no_answer_and_cost_no_memory(town: Town) -> None:
    (alice,) = in_room(town, "lobby", "alice")
    desk = desk_of(town)
    before = town.network.sent
    for datagram in (b"", b"\x01" * 41, b"\x01" + bytes(100), bytes(1300), b"\x01" + b"\xff" * 1199):
        desk.receive(datagram, "stranger", town.now)
    assert (desk.counts.strange, len(desk.seats)) == (5, 1)
    assert desk.take_output(town.now)[0] == []
    assert town.network.sent == before
    assert alice.session is not None


def test_u2_a_recorded_session_cannot_be_played_again(town: Town) -> None:
    recorded: list[tuple[bytes, Hashable]] = []
    arrive = town.network._arrive

    def note(data: bytes, sender: Hashable, receiver: Hashable, now: float) -> None:
        if receiver == SERVER:
            recorded.append((data, sender))
        arrive(data, sender, receiver, now)

    town.network._arrive = note
    (alice,) = in_room(town, "lobby", "alice")
    alice.say("lobby", "only once")
    town.settle()
    assert alice.session is not None
    alice.session.close("done")
    alice.away = True
    desk = desk_of(town)
    for data, where in alice.session.take_output(town.now):
        town.network.send(data, "alice", where)
    town.run(lambda: not desk.seats)
    for restarted in (False, True):
        if restarted:
            town.start_server()
            desk = desk_of(town)
        for data, sender in recorded:
            desk.receive(data, sender, town.now)
        assert desk.seats == {}
        assert desk.take_output(town.now)[0] == []
    assert town.chat.heard("alice", "lobby") == [(1, "alice", "only once")]


def test_u1_amplification_a_session_that_begins_gets_no_more_bytes_than_it_sent(town: Town) -> None:
    (alice,) = town.move_in("alice")
    alice.connect()
    assert alice.session is not None
    ((datagram, _),) = alice.session.take_output(town.now)
    desk = desk_of(town)
    desk.receive(datagram, "a victim", town.now)
    ((answer, where),) = desk.take_output(town.now)[0]
    assert (where, len(answer)) == ("a victim", CHALLENGE_BYTES)
    assert len(answer) <= len(datagram)
    for _ in range(10):
        desk.receive(datagram, "a victim", town.now)
        assert desk.take_output(town.now)[0] == []


def test_an_account_that_may_not_come_in_is_told_why(town: Town) -> None:
    (alice,) = town.move_in("alice")

    def refuse(*_: object) -> Any:
        raise LoginRefused("disabled")

    desk_of(town)._admit = refuse
    alice.connect()
    session = alice.session
    assert session is not None
    town.run(lambda: session.closed is not None)
    assert session.closed == "login incorrect"
    assert desk_of(town).seats == {}


def test_a_mistake_of_ours_is_not_told(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    (alice,) = in_room(town, "lobby", "alice")

    def broken(*_: object, **__: object) -> Any:
        raise RuntimeError("a secret path")

    town.chat.rooms.of = broken  # type: ignore[method-assign]
    town.chat.log.history = broken  # type: ignore[method-assign]
    for op in ("rooms", "history"):
        told = asked(town, alice, op, **({"room": "lobby"} if op == "history" else {}))
        assert told.code == "state-unavailable"
        assert "secret" not in told.message
    assert "a secret path" in caplog.text


def test_there_is_an_end_to_how_many_sessions_there_are(town: Town) -> None:
    desk = desk_of(town)
    desk._max_seats = 1
    alice, bob = town.move_in("alice", "bob")
    town.run(lambda: len(desk.seats) == 1 and desk.counts.turned_away > 0)
    assert desk.counts.turned_away >= 1
    assert {alice.connections, bob.connections} == {1}


def test_a_session_that_talks_nonsense_is_ended(town: Town) -> None:
    (alice,) = in_room(town, "lobby", "alice")
    session = alice.session
    assert session is not None
    session.send(b"no JSON")
    town.run(lambda: session.closed is not None)
    assert session.closed is not None
    assert session.closed.startswith("a message that cannot be read: ")


def test_the_administrator_and_the_end_of_the_server_end_sessions_with_a_word(town: Town) -> None:
    alice, bob = in_room(town, "lobby", "alice", "bob")
    first, second = alice.session, bob.session
    assert first is not None
    assert second is not None
    desk = desk_of(town)
    desk._put_out(desk.seats[first.name], "the administrator ended this session")
    town.run(lambda: first.closed is not None)
    assert first.closed == "the administrator ended this session"
    desk.close("the server is going down")
    town.run(lambda: second.closed is not None)
    assert second.closed == "the server is going down"


def test_an_account_that_is_disabled_meanwhile_is_put_out(town: Town) -> None:
    alice, bob = in_room(town, "lobby", "alice", "bob")
    session = bob.session
    assert session is not None
    town.chat.accounts.update("bob", enabled=False)
    desk_of(town).review()
    town.run(lambda: session.closed is not None)
    assert session.closed == "this account may not log in any more"
    assert alice.session is not None
    assert alice.session.closed is None
    town.kill_server()
    town.start_server()
    desk_of(town).review()  # nobody is there


def test_a_hub_without_options_has_rules(town: Town) -> None:
    assert ChatHub(town.chat.log, town.chat.rooms, at_once).rules == HubRules()
    assert ChatHub(town.chat.log, town.chat.rooms, at_once).present == frozenset()
