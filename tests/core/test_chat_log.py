from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.core.chats import Chat

from homeport.core.chat_log import MAX_HISTORY, ChatLimits, ChatLog, Message
from homeport.core.chat_names import ChatRights
from homeport.core.errors import ChatError, ChatRightMissing, InvalidMessage, RoomNotFound
from homeport.core.state import Database


@pytest.fixture
def chat(database: Database, tmp_path: Path) -> Chat:
    chat = Chat(database, tmp_path / "homes")
    chat.add("alice", "bob", "carol")
    chat.rooms.join(chat.ids["alice"], "lobby", make=True)
    return chat


def test_numbers_grow_by_one_in_each_room(chat: Chat) -> None:
    chat.rooms.make("other")
    posts = [chat.post("alice", room, f"{number}") for number in range(5) for room in ("lobby", "other")]
    outcomes = chat.log.post(posts)
    assert [said.id for said in outcomes if isinstance(said, Message)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert chat.say("bob", "LOBBY", "six").id == 6
    assert chat.heard("carol", "lobby") == [*((n + 1, "alice", f"{n}") for n in range(5)), (6, "bob", "six")]


def test_what_was_sent_twice_is_stored_once(chat: Chat) -> None:
    first = chat.say("alice", "lobby", "hello", "token")
    chat.now += 60
    again = chat.say("alice", "lobby", "hello", "token")
    assert (again.id, again.at, again.text) == (first.id, 1000.0, "hello")
    assert again.room.name == "lobby"
    assert chat.say("bob", "lobby", "hello", "token").id == 2  # a token is its sender's alone
    twice = [chat.post("alice", "lobby", "x", "same"), chat.post("alice", "lobby", "x", "same")]
    stored, refused = chat.log.post(twice)
    assert isinstance(stored, Message)
    assert str(refused) == "it is being stored"
    assert [said for _, _, said in chat.heard("bob", "lobby")] == ["hello", "hello", "x"]


def test_many_threads_neither_lose_nor_double_a_number(chat: Chat) -> None:
    def talk(name: str) -> None:
        for number in range(10):
            chat.say(name, "lobby", f"{name} {number}", f"{name}{number}")

    threads = [threading.Thread(target=talk, args=[name]) for name in ("alice", "bob", "carol")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    heard = chat.heard("alice", "lobby")
    assert [number for number, _, _ in heard] == list(range(1, 31))
    assert len({text for _, _, text in heard}) == 30


def test_history_from_any_number_on(chat: Chat) -> None:
    for number in range(1, 11):
        chat.say("alice", "lobby", f"{number}")
    log, alice = chat.log, chat.ids["alice"]

    def ids(messages: list[Message]) -> list[int]:
        return [said.id for said in messages]

    assert ids(log.history(alice, "lobby")) == list(range(1, 11))
    assert ids(log.history(alice, "lobby", limit=3)) == [8, 9, 10]
    assert ids(log.history(alice, "lobby", before=5, limit=3)) == [2, 3, 4]
    assert ids(log.history(alice, "lobby", after=7)) == [8, 9, 10]
    assert ids(log.history(alice, "lobby", after=2, limit=2)) == [3, 4]
    assert ids(log.history(alice, "lobby", after=99)) == []
    assert ids(log.history(alice, "lobby", limit=10**9)) == list(range(1, 11))
    assert ids(log.history(alice, "lobby", limit=-5)) == [10]
    room = log.history(alice, "lobby")[0].room
    assert ids(log.after(room.id, 8)) == [9, 10]
    assert log.after(4711, 0) == []
    assert MAX_HISTORY < 1000


def test_a_conversation_of_two_is_theirs_alone(chat: Chat) -> None:
    said = chat.say("alice", "@bob", "psst")
    assert (said.id, said.room.direct, sorted(said.room.pair)) == (
        1,
        True,
        sorted([chat.ids["alice"], chat.ids["bob"]]),
    )
    assert chat.say("bob", "@ALICE", "yes?").id == 2
    assert chat.heard("alice", "@bob") == chat.heard("bob", "@alice") == [(1, "alice", "psst"), (2, "bob", "yes?")]
    assert chat.rooms.member_ids(said.room.id) == {chat.ids["alice"], chat.ids["bob"]}
    for name in ("@bob", "@alice"):
        with pytest.raises(RoomNotFound):
            chat.log.history(chat.ids["carol"], name)
    with pytest.raises(RoomNotFound) as caught:
        chat.log.history(chat.ids["carol"], said.room.key)
    assert str(caught.value) == f"no room is called {said.room.key!r}; `/rooms` shows those there are"


@pytest.mark.parametrize(
    ("room", "refusal"),
    [
        ("nowhere", "no room is called 'nowhere'; `/rooms` shows those there are"),
        ("no room", "no room is called 'no room'; `/rooms` shows those there are"),
        ("@nobody", "no room is called '@nobody'; `/rooms` shows those there are"),
        ("@no body", "no room is called '@no body'; `/rooms` shows those there are"),
        ("@alice", "nobody talks with themselves here"),
    ],
)
def test_where_nothing_can_be_said(chat: Chat, room: str, refusal: str) -> None:
    assert str(chat.try_say("alice", room, "hello")) == refusal
    with pytest.raises(ChatError) as caught:
        chat.log.history(chat.ids["alice"], room)
    assert str(caught.value) == refusal


@pytest.mark.parametrize(
    ("text", "token", "kind", "refusal"),
    [
        ("", "t", "say", "there is nothing in this message"),
        ("x" * 4001, "t", "say", "a message has at most 4000 characters, this one has 4001"),
        ("x", "", "say", "a token has 1 to 64 ASCII characters"),
        ("x", "t" * 65, "say", "a token has 1 to 64 ASCII characters"),
        ("x", "é", "say", "a token has 1 to 64 ASCII characters"),
        ("x", "a\0", "say", "a token has 1 to 64 ASCII characters"),
        ("x", "t", "shout", "no message is of the kind 'shout'"),
    ],
)
def test_what_cannot_be_said(chat: Chat, text: str, token: str, kind: str, refusal: str) -> None:
    post = chat.post("alice", "lobby", text, token or None, kind)
    if not token:
        post = type(post)(post.account_id, post.sender, post.room, text, "", kind)
    bad, good = chat.log.post([post, chat.post("alice", "lobby", "good")])
    assert str(bad) == refusal
    assert isinstance(bad, InvalidMessage)
    assert isinstance(good, Message)  # one refusal harms no other


def test_who_may_not_talk_does_not(chat: Chat) -> None:
    bob = chat.ids["bob"]
    chat.rooms.decide("bob", ChatRights.READ, seconds=60)
    for room in ("lobby", "@alice"):
        assert str(chat.try_say("bob", room, "hello")) == f"this account may not talk in {room}; ask the administrator"
    assert chat.log.history(bob, "lobby") == []
    chat.now += 60
    assert chat.say("bob", "lobby", "hello").id == 1
    chat.rooms.decide("bob", ChatRights.NONE, room="lobby")
    with pytest.raises(ChatRightMissing) as caught:
        chat.log.history(bob, "lobby")
    assert str(caught.value) == "this account may not read lobby; ask the administrator"
    assert chat.say("bob", "@alice", "help").id == 1


def test_rights_by_default(database: Database, tmp_path: Path) -> None:
    chat = Chat(database, tmp_path / "homes", ChatLimits(default=ChatRights.READ))
    chat.add("alice")
    chat.rooms.make("lobby")
    assert isinstance(chat.try_say("alice", "lobby", "hello"), ChatRightMissing)
    chat.rooms.decide("alice", ChatRights.READ | ChatRights.TALK, room="lobby")
    assert chat.say("alice", "lobby", "hello").id == 1


def test_what_was_read_is_remembered_and_never_goes_back(chat: Chat) -> None:
    bob = chat.ids["bob"]
    chat.rooms.join(bob, "lobby")
    for number in range(5):
        chat.say("alice", "lobby", f"{number}")
    for number, read in ((3, 3), (2, 3), (99, 5)):
        chat.log.mark_read(bob, "lobby", number)
        assert chat.rooms.of(bob)[0].read_id == read
    with pytest.raises(RoomNotFound):
        chat.log.mark_read(bob, "nowhere", 1)


def test_a_log_without_options_has_defaults(database: Database) -> None:
    assert ChatLog(database).limits == ChatLimits()
    assert ChatLog(database).post([]) == []
