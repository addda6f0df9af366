from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from homeport.cli import telling
from homeport.cli.connecting import Connector
from homeport.client.errors import ClientError, ConnectionFailed, ServerRefused, UsageError
from homeport.client.hptp.remote import HptpRemote
from homeport.client.url import RemoteUrl

PLACE = RemoteUrl("hp", "server", 2122, "alice", "/films")


class FakeRemote(HptpRemote):
    """Keeps what it is asked."""

    def __init__(self, failure: ClientError | None = None) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.closed = False
        self._failure = failure

    def ask(self, doing: str, op: str, **arguments: Any) -> Any:
        self.asked.append((doing, op, arguments))
        if self._failure is not None:
            raise self._failure
        return {"id": 1}

    def close(self) -> None:
        self.closed = True


class FakeConnector:
    def __init__(self, remote: FakeRemote | ClientError) -> None:
        self._remote = remote

    def dial(self, place: RemoteUrl) -> HptpRemote:
        assert place is PLACE
        if isinstance(self._remote, ClientError):
            raise self._remote
        return self._remote


def announce(remote: FakeRemote | ClientError, *names: str) -> None:
    telling.announce(cast(Connector, FakeConnector(remote)), PLACE, "lobby", [Path(name) for name in names])


@pytest.mark.parametrize("scheme", ["ftp", "ftps", "sftp"])
def test_only_hptp_can_tell(scheme: str) -> None:
    telling.check(PLACE)
    with pytest.raises(
        UsageError, match=f"--tell needs the chat, which is HPTP's; write hp:// in place of {scheme}://"
    ):
        telling.check(RemoteUrl(scheme, "server", 21, "alice", "/films"))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a/film.mkv"], "film.mkv at /films"),
        (["1", "2", "3", "4", "5"], "1, 2, 3, 4, 5 at /films"),
        (["1", "2", "3", "4", "5", "6", "7"], "1, 2, 3, 4, 5, 2 more at /films"),
    ],
)
def test_what_is_said(names: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    remote = FakeRemote()
    announce(remote, *names)
    ((doing, op, arguments),) = remote.asked
    token = arguments["do"].pop("token")
    assert (doing, op, len(token)) == ("tell lobby", "chat.do", 16)
    assert arguments == {"do": {"op": "say", "room": "lobby", "kind": "file", "text": text}}
    assert remote.closed
    assert capsys.readouterr().err == ""


def test_every_announcement_has_its_own_token() -> None:
    remote = FakeRemote()
    announce(remote, "a")
    announce(remote, "a")
    assert len({arguments["do"]["token"] for _, _, arguments in remote.asked}) == 2


def test_names_that_would_draw_on_a_terminal_are_escaped() -> None:
    text = telling.text_of([Path("a\x1b[2Jb\udcff")], "/new\nline")
    assert text.isprintable()
    assert text.encode()  # no half of a surrogate pair
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("remote", "words"),
    [
        (FakeRemote(ServerRefused("cannot tell lobby: no", 0, "no")), "lobby was not told: cannot tell lobby: no"),
        (ConnectionFailed("the server is away"), "lobby was not told: the server is away"),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_else_happens(
    remote: FakeRemote | ClientError, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(remote, "film.mkv")
    assert words in capsys.readouterr().err
    assert not isinstance(remote, FakeRemote) or remote.closed
