from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar, cast

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from homeport.cli.chat.completing import ChatCompleter
from homeport.cli.chat.conversation import COMMANDS, Conversation, Quit
from homeport.cli.chat.lines import COLOURS, MENTION, Line, colour_of, mentions, plain, said_lines
from homeport.client.chat.client import ChatClient, Connected, Disconnected
from homeport.client.chat.core import Presence, Said
from homeport.client.errors import ServerRefused


def said(text: str, *, room: str = "lobby", sender: str = "bob", kind: str = "say", number: int = 1) -> Said:
    return Said(room, number, 0.0, sender, kind, text)


class FakeChat:
    """Answers as a server with one room would."""

    account = "alice"

    class core:  # noqa: N801
        rooms: ClassVar = {"lobby": 7}

    def __init__(self) -> None:
        self.did: list[tuple[Any, ...]] = []

    async def join(self, room: str, *, make: bool = False) -> dict[str, Any]:
        self.did.append(("join", room, make))
        if room == "closed":
            raise ServerRefused("cannot join closed: no", 0, "no room is called 'closed'")
        return {"room": room, "last_id": 7}

    async def leave(self, room: str) -> None:
        self.did.append(("leave", room))

    async def say(self, room: str, text: str, *, kind: str = "say") -> int:
        self.did.append(("say", room, text, kind))
        return 8

    async def rooms(self) -> list[dict[str, Any]]:
        return [{"room": "lobby", "last_id": 7, "read_id": 4, "member": True}, {"room": "zoo", "last_id": 2}]

    async def who(self, room: str | None = None) -> list[dict[str, Any]]:
        return [{"name": "alice", "here": True}, {"name": "bob", "here": False}]

    async def history(self, room: str, *, limit: int) -> list[Said]:
        return [said("earlier", room=room)]

    async def mark_read(self, room: str, number: int) -> None:
        self.did.append(("read", room, number))


class Table:
    def __init__(self) -> None:
        self.chat = FakeChat()
        self.shown: list[str] = []
        self.talk = Conversation(cast(ChatClient, self.chat), self._show)

    def _show(self, lines: Iterable[Line]) -> None:
        self.shown += plain(lines).split("\n")

    def type(self, *lines: str) -> list[str]:
        before = len(self.shown)
        for line in lines:
            asyncio.run(self.talk.type(line))
        return self.shown[before:]


@pytest.fixture
def table() -> Table:
    table = Table()
    asyncio.run(table.talk.enter("lobby"))
    table.chat.did.clear()
    return table


def test_a_room_comes_with_what_was_said_there() -> None:
    table = Table()
    asyncio.run(table.talk.enter("lobby"))
    assert table.shown[0] == "--- lobby ---"
    assert table.shown[1].endswith("bob: earlier")
    assert table.chat.did == [("join", "lobby", True), ("read", "lobby", 7)]
    assert table.talk.unread["lobby"] == 0


def test_without_a_room_the_rooms_are_listed() -> None:
    table = Table()
    asyncio.run(table.talk.enter(None))
    assert table.shown == ["  lobby: 7 messages, you are in it, 3 unread", "  zoo: 2 messages"]
    assert table.type("hello") == ["you are in no room; /join NAME goes into one, /rooms lists them"]


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("hello there", [("say", "lobby", "hello there", "say")]),
        ("//slash", [("say", "lobby", "/slash", "say")]),
        ("/me waves", [("say", "lobby", "waves", "me")]),
        ("/msg bob hi you", [("say", "@bob", "hi you", "say"), ("read", "@bob", 8)]),
        ("/msg @bob hi", [("say", "@bob", "hi", "say"), ("read", "@bob", 8)]),
        ("/msg bob", [("join", "@bob", False), ("read", "@bob", 7)]),
        ("/join zoo", [("join", "zoo", True), ("read", "zoo", 7)]),
        ("/join @bob", [("join", "@bob", False), ("read", "@bob", 7)]),
        ("/leave", [("leave", "lobby")]),
        ("/leave zoo", [("leave", "zoo")]),
        ("   ", []),
    ],
)
def test_what_typed_lines_do(table: Table, line: str, done: list[tuple[Any, ...]]) -> None:
    table.type(line)
    assert table.chat.did == done


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/who", ["lobby: alice, bob (away)"]),
        ("/join", ["which room? write /join NAME, or /join @NAME to talk with one person"]),
        ("/msg", ["to whom? write /msg NAME TEXT, or /msg NAME to talk with one person"]),
        ("/shout", ["no command is called /shout; /help lists them, and //shout says it"]),
        ("/join closed", ["no room is called 'closed'"]),
        ("/leave", ["you have left lobby"]),
    ],
)
def test_what_typed_lines_show(table: Table, line: str, shown: list[str]) -> None:
    assert table.type(line) == shown


def test_help_names_every_command_and_quit_quits(table: Table) -> None:
    shown = "\n".join(table.type("/help"))
    assert all(f"/{name}" in shown for name in COMMANDS)
    with pytest.raises(Quit):
        table.type("/quit")
    table.type("/leave")
    assert table.type("/leave") == ["you are in no room"]


def test_what_happens_is_shown_or_counted(table: Table) -> None:
    before = len(table.shown)
    for news in (
        said("in front"),
        said("elsewhere", room="zoo"),
        said("Alice, look", room="zoo"),
        said("my own", room="zoo", sender="alice"),
        said("psst", room="@bob"),
        Presence("carol", here=True),
        Presence("carol", here=False),
        Connected("udp"),
        Connected("hptp"),
        Disconnected("broken"),
    ):
        table.talk.hear(news)
    assert [line.partition(" ")[2] if line[:2].isdigit() else line for line in table.shown[before:]] == [
        "bob: in front",
        "[zoo] bob: Alice, look",
        "[@bob] bob: psst",
        "carol is here",
        "carol has gone",
        "UDP does not get through; the chat goes over HPTP",
        "not connected: broken; trying again",
    ]
    assert dict(table.talk.unread) == {"zoo": 2, "@bob": 1}
    assert table.talk.mentioned == {"zoo"}
    asyncio.run(table.talk.read_so_far())
    assert table.chat.did == [("read", "lobby", 7)]


def test_what_others_wrote_is_escaped() -> None:
    lines = said_lines(said("a\x1b[2J\n\tb\u202e", sender="e\x07vil", room="r\x1b"), "alice", with_room=True)
    assert plain(lines)[6:] == "[r\\x1b] e\\x07vil: a\\x1b[2J\n          b\\u202e"
    assert plain(said_lines(said("waves", kind="me"), "alice", with_room=False))[6:] == "* bob waves"
    assert plain(said_lines(said("x at /y/", kind="file"), "alice", with_room=False))[6:] == "bob has put x at /y/"


def test_mentions_are_whole_words() -> None:
    assert mentions(said("hey Alice!"), "alice")
    assert not mentions(said("malice"), "alice")
    assert not mentions(said("alice", sender="alice"), "alice")
    assert not mentions(said("anybody"), "")
    assert said_lines(said("alice?"), "alice", with_room=False)[0][-1] == (MENTION, "alice?")
    assert colour_of("Bob") == colour_of("bob") in COLOURS


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("/jo", ["/join "]),
        ("/join lo", ["lobby "]),
        ("/join @b", ["@bob "]),
        ("/msg b", ["bob "]),
        ("b", ["bob: "]),
        ("hello b", ["bob "]),
        ("/me b", ["bob "]),
    ],
)
def test_tab_completes(table: Table, line: str, completions: list[str]) -> None:
    found = ChatCompleter(table.talk).get_completions(Document(line), CompleteEvent())
    assert [each.text for each in found] == completions
