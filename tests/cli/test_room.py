from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run

from homeport.config.model import Settings
from homeport.daemon.instance import Instance


def made(run: Run, directory: Path) -> None:
    Instance(directory).create(Settings())
    run("user", "add", "bob", "--password-stdin", stdin="secret word\n")


def test_rooms_are_made_listed_and_removed(run: Run, directory: Path) -> None:
    made(run, directory)
    assert run("room", "list").err == "there is no room\n"
    assert run("room", "add", "Lobby").err == "made the room Lobby\n"
    assert run("room", "add", "board", "--closed", "--json").objects == [{"room": "board", "open": False}]
    assert run("room", "list").out == ("ROOM   OPEN TO    MESSAGES\nboard  guests     0\nLobby  everybody  0\n")
    assert run("room", "list", "--json").objects[1] == {"room": "Lobby", "open": True, "messages": 0}
    again = run("room", "add", "LOBBY")
    assert (again.code, again.err) == (
        1,
        "homeport: a room called 'LOBBY' (or one that looks the same) exists already\n",
    )
    assert run("room", "remove", "lobby", stdin="n\n").code == 130
    assert run("room", "remove", "lobby", "--yes").err == "removed Lobby with 0 messages\n"
    assert run("room", "remove", "lobby", "--yes").code == 3
    assert run("room", "remove", "board", "--yes", "--json").objects == [{"room": "board", "messages": 0}]


def test_who_may_what(run: Run, directory: Path) -> None:
    made(run, directory)
    run("room", "add", "lobby")
    assert run("room", "rights").err == "nothing was decided; everybody may do what chat.rights says\n"
    assert run("room", "silence", "bob").err == "the rights of bob everywhere, until it is changed: read\n"
    assert (
        run("room", "keep-out", "bob", "--room", "lobby").err
        == "the rights of bob in lobby, until it is changed: none\n"
    )
    timed = run("room", "silence", "bob", "--room", "lobby", "--for", "2h", "--json").objects[0]
    assert (timed["account"], timed["room"], timed["rights"]) == ("bob", "lobby", "read")
    assert timed["until"] is not None
    shown = run("room", "rights").out.splitlines()
    assert shown[0].split() == ["ACCOUNT", "ROOM", "RIGHTS", "UNTIL"]
    assert shown[1] == "bob      everywhere  read    it is changed"
    assert len(run("room", "rights", "--json").objects) == 2
    assert run("room", "rights", "bob", "default").err == "the rights of bob everywhere, until it is changed: all\n"
    assert run("room", "rights", "bob").code == 2
    wrong = run("room", "rights", "bob", "shout")
    assert (wrong.code, wrong.err.partition(";")[0]) == (2, "homeport: no right of the chat is called 'shout'")
    assert run("room", "silence", "nobody").code == 3
