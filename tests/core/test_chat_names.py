from __future__ import annotations

import pytest

from homeport.core.chat_names import ChatRights, check_text, direct_key, room_key, room_name
from homeport.core.errors import InvalidMessage


@pytest.mark.parametrize(
    ("text", "rights"),
    [
        ("all", ChatRights.ALL),
        ("none", ChatRights.NONE),
        ("read", ChatRights.READ),
        ("read,talk", ChatRights.READ | ChatRights.TALK),
        ("read,talk,make", ChatRights.ALL),
        ("talk,make", ChatRights.TALK | ChatRights.MAKE),
    ],
)
def test_rights_both_ways(text: str, rights: ChatRights) -> None:
    assert ChatRights.parse(text) == rights
    assert ChatRights.parse(str(rights)) == rights


def test_an_unknown_right() -> None:
    with pytest.raises(ValueError, match="no right of the chat is called 'shout'; there are: read, talk, make"):
        ChatRights.parse("read,shout")


@pytest.mark.parametrize(
    ("name", "key"), [("Lobby", "lobby"), ("项目", "项目"), ("ＡＢＣ", "abc"), ("team-7.x", "team-7.x")]
)
def test_names_of_rooms(name: str, key: str) -> None:
    assert room_key(name) == key
    assert room_key(room_name(name)) == key


@pytest.mark.parametrize("name", ["", "@bob", "a@b", "a room", "-x", ".x", "\u202ex", "a" * 65, "a\x1b"])
def test_names_that_no_room_has(name: str) -> None:
    for read in (room_key, room_name):
        with pytest.raises(InvalidMessage) as caught:
            read(name)
        assert str(caught.value) == (
            "a room's name has letters, digits, dot, underscore and dash only, and begins with none of the last three"
        )


def test_a_conversation_has_one_key_for_both_and_no_room_s() -> None:
    assert direct_key(7, 12) == direct_key(12, 7) == "@7:12"


@pytest.mark.parametrize("text", ["hello", " 你好 👋 ", "two\nlines\tand a tab", "x" * 100, "\u202e"])
def test_what_can_be_said(text: str) -> None:
    assert check_text("lobby", text, 100) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 101, "a message has at most 100 characters, this one has 101"),
        ("", "there is nothing in this message"),
        (" \n\t", "there is nothing in this message"),
        *(
            (f"a{bad}b", "a message has no control characters but tabs and line breaks")
            for bad in "\0\r\x1b\x7f\x9b\ud800"
        ),
    ],
)
def test_what_cannot_be_said(text: str, reason: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        check_text("lobby", text, 100)
    assert str(caught.value) == reason
