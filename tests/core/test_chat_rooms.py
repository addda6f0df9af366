from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.chats import Chat

from homeport.core.chat_log import ChatLimits
from homeport.core.chat_names import ChatRights
from homeport.core.chat_rooms import ChatRooms, Decision
from homeport.core.errors import AccountNotFound, ChatError, ChatRightMissing, InvalidMessage, RoomExists, RoomNotFound
from homeport.core.state import Database


@pytest.fixture
def chat(database: Database, tmp_path: Path) -> Chat:
    chat = Chat(database, tmp_path / "homes")
    chat.add("alice", "bob", "carol")
    return chat


def seen(chat: Chat, name: str) -> list[tuple[str, bool, int]]:
    return [(view.name, view.member, view.read_id) for view in chat.rooms.of(chat.ids[name])]


def test_a_room_is_made_joined_and_left(chat: Chat) -> None:
    alice, bob = chat.ids["alice"], chat.ids["bob"]
    with pytest.raises(RoomNotFound):
        chat.rooms.join(alice, "Lobby")
    assert chat.rooms.join(alice, "Lobby", make=True).name == "Lobby"
    chat.say("alice", "lobby", "anybody here?")
    view = chat.rooms.join(bob, "lobby", make=True)
    assert (view.name, view.member, view.read_id, view.room.last_id) == ("Lobby", True, 1, 1)
    assert chat.rooms.join(bob, "LOBBY").read_id == 1
    assert chat.rooms.members(alice, "lobby") == ["alice", "bob"]
    assert seen(chat, "carol") == [("Lobby", False, 1)]
    assert chat.rooms.leave(bob, "lobby").id == view.room.id
    chat.rooms.leave(bob, "lobby")
    assert chat.rooms.members(bob, "lobby") == ["alice"]


def test_conversations_are_shown_to_both_under_the_other_s_name(chat: Chat) -> None:
    chat.rooms.join(chat.ids["alice"], "zoo", make=True)
    assert chat.rooms.join(chat.ids["alice"], "@BOB").name == "@bob"
    assert seen(chat, "alice") == [("zoo", True, 0), ("@bob", True, 0)]
    assert seen(chat, "bob") == [("zoo", False, 0), ("@alice", True, 0)]
    assert seen(chat, "carol") == [("zoo", False, 0)]
    assert chat.rooms.members(chat.ids["bob"], "@alice") == ["alice", "bob"]
    chat.accounts.remove("bob")
    assert seen(chat, "alice")[1][0] == f"@#{chat.ids['bob']}"


def test_a_closed_room_is_known_to_its_guests_alone(chat: Chat) -> None:
    chat.rooms.make("board", open_to_all=False)
    bob = chat.ids["bob"]
    with pytest.raises(RoomNotFound):
        chat.rooms.join(bob, "board")
    assert seen(chat, "bob") == []
    chat.rooms.decide("bob", ChatRights.READ, room="board")
    assert chat.rooms.join(bob, "board").member
    assert chat.rooms.members(bob, "board") == ["bob"]
    with pytest.raises(ChatRightMissing):
        chat.rooms.members(chat.ids["carol"], "board")


def test_who_is_kept_out_is_heard_and_told_no_more(chat: Chat) -> None:
    room = chat.rooms.join(chat.ids["bob"], "lobby", make=True).room
    chat.rooms.join(chat.ids["alice"], "lobby")
    assert chat.rooms.member_ids(room.id) == {chat.ids["alice"], chat.ids["bob"]}
    chat.rooms.decide("bob", ChatRights.NONE, room="lobby")
    assert chat.rooms.member_ids(room.id) == {chat.ids["alice"]}
    assert seen(chat, "bob") == []
    with pytest.raises(ChatRightMissing) as caught:
        chat.rooms.join(chat.ids["bob"], "lobby")
    assert str(caught.value) == "this account may not read lobby; ask the administrator"
    assert chat.rooms.member_ids(4711) == frozenset()


def test_rooms_are_made_by_those_who_may(database: Database, tmp_path: Path) -> None:
    chat = Chat(database, tmp_path / "homes", ChatLimits(default=ChatRights.READ | ChatRights.TALK))
    chat.add("alice")
    with pytest.raises(ChatRightMissing) as caught:
        chat.rooms.join(chat.ids["alice"], "mine", make=True)
    assert str(caught.value) == "this account may not make rooms; ask the administrator"
    chat.rooms.decide("alice", ChatRights.ALL)
    assert chat.rooms.join(chat.ids["alice"], "mine", make=True).member


def test_the_administrator_makes_and_removes_rooms(chat: Chat) -> None:
    assert chat.rooms.make("Lobby").open
    assert [(room.name, room.open) for room in chat.rooms.all()] == [("Lobby", True)]
    with pytest.raises(RoomExists) as caught:
        chat.rooms.make("LOBBY")
    assert str(caught.value) == "a room called 'LOBBY' (or one that looks the same) exists already"
    with pytest.raises(InvalidMessage):
        chat.rooms.make("no room")
    chat.say("alice", "lobby", "gone soon")
    chat.rooms.decide("bob", ChatRights.NONE, room="lobby")
    removed = chat.rooms.remove("lobby")
    assert chat.rooms.all() == []
    assert chat.rooms.decisions() == []
    assert chat.log.after(removed.id, 0) == []
    assert chat.rooms.make("lobby").id > removed.id
    for name in ("@alice", "nowhere"):
        with pytest.raises(ChatError):
            chat.rooms.remove(name)


def test_decisions_are_listed_and_taken_back(chat: Chat) -> None:
    chat.rooms.make("lobby")
    silenced = chat.rooms.decide("BOB", ChatRights.READ, room="lobby", seconds=60)
    assert silenced == Decision("bob", "lobby", ChatRights.READ, 1060.0)
    chat.rooms.decide("alice", ChatRights.NONE)
    assert chat.rooms.decisions() == [Decision("alice", None, ChatRights.NONE, None), silenced]
    chat.now += 60
    assert chat.rooms.decisions() == [Decision("alice", None, ChatRights.NONE, None)]
    assert chat.rooms.decide("alice", None) == Decision("alice", None, ChatRights.ALL, None)
    assert chat.rooms.decisions() == []
    for account in ("nobody", "no body"):
        with pytest.raises(AccountNotFound):
            chat.rooms.decide(account, ChatRights.NONE)
    with pytest.raises(RoomNotFound):
        chat.rooms.decide("bob", ChatRights.NONE, room="nowhere")


def test_who_is_not_welcome_any_more(chat: Chat) -> None:
    ids = chat.ids
    chat.accounts.update("bob", enabled=False)
    chat.accounts.update("carol", expires_at=1001.0)
    assert chat.rooms.unwelcome(ids.values()) == {ids["bob"]}
    chat.now += 1
    assert chat.rooms.unwelcome([*ids.values(), 4711]) == {ids["bob"], ids["carol"], 4711}


def test_rooms_without_options_have_defaults(database: Database) -> None:
    assert ChatRooms(database).limits == ChatLimits()
