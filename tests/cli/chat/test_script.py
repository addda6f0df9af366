from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator
from typing import Any, TextIO, cast

import pytest
from tests.cli.chat.test_conversation import FakeChat, said

from homeport.cli.chat.script import Script
from homeport.client.chat.client import ChatClient, Connected, Disconnected, News
from homeport.client.errors import ClientError, LoginFailed


class NewsChat(FakeChat):
    """Tells some news, and then nothing more, or that there is no way back in."""

    def __init__(self, *news: News, failure: ClientError | None = None) -> None:
        super().__init__()
        self._news = news
        self._failure = failure

    async def __aiter__(self) -> AsyncIterator[News]:
        for news in self._news:
            yield news
        if self._failure is not None:
            raise self._failure
        await asyncio.Event().wait()


def run(chat: NewsChat, typed: str, *, as_json: bool, room: str | None = "lobby") -> None:
    script = Script(cast(ChatClient, chat), as_json=as_json)
    asyncio.run(asyncio.wait_for(script.run(room, io.StringIO(typed)), 10))


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_lines_are_said_and_the_end_of_input_is_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    chat = NewsChat(Connected("udp"), said("hello"))
    run(chat, "one\n/me waves\n", as_json=False)
    assert [did for did in chat.did if did[0] == "say"] == [
        ("say", "lobby", "one", "say"),
        ("say", "lobby", "waves", "me"),
    ]
    assert "hello" in capsys.readouterr().out


def test_quit_ends_it_though_more_was_typed() -> None:
    chat = NewsChat()
    run(chat, "/quit\nnot said\n", as_json=False)
    assert not [did for did in chat.did if did[0] == "say"]


def test_json_tells_each_thing_as_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    run(NewsChat(Connected("hptp"), said("你好", number=4), Disconnected("away")), "plain\n", as_json=True)
    told = events(capsys.readouterr().out)
    assert told == [
        {"event": "connected", "carrier": "hptp"},
        {"event": "said", "room": "lobby", "id": 4, "at": 0.0, "sender": "bob", "kind": "say", "text": "你好"},
        {"event": "disconnected", "reason": "away"},
    ]


def test_json_takes_objects(capsys: pytest.CaptureFixture[str]) -> None:
    chat = NewsChat()
    run(chat, '{"room": "zoo", "text": "hi", "kind": "me"}\n', as_json=True)
    assert ("say", "zoo", "hi", "me") in chat.did
    assert events(capsys.readouterr().out) == [{"event": "stored", "room": "zoo", "id": 8}]


@pytest.mark.parametrize("line", ["{", '{"room": "zoo"}', "{" + '"a":[' * 100_000])
def test_json_says_what_is_no_object_of_its_kind(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    chat = NewsChat()
    run(chat, line + "\n", as_json=True)
    (told,) = events(capsys.readouterr().out)
    assert told["event"] == "error"
    assert told["message"].startswith('no {"room": ..., "text": ...}: ')
    assert not [did for did in chat.did if did[0] == "say"]


def test_with_json_what_is_for_people_goes_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    run(NewsChat(), "/rooms\n", as_json=True)
    told = capsys.readouterr()
    assert told.out == ""
    assert "zoo" in told.err


class Silent(io.TextIOBase):
    """Input in which nothing comes until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def readline(self, _: int = -1, /) -> str:  # type: ignore[override]
        self.over.wait(10)
        return ""


def test_no_way_back_in_ends_it_while_nothing_is_typed() -> None:
    chat, silent = NewsChat(failure=LoginFailed("wrong password")), Silent()

    async def main() -> None:
        try:
            script = Script(cast(ChatClient, chat), as_json=True)
            with pytest.raises(LoginFailed, match="wrong password"):
                await asyncio.wait_for(script.run("lobby", cast(TextIO, silent)), 10)
        finally:
            silent.over.set()

    asyncio.run(main())
