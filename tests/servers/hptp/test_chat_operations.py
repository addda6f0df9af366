"""The chat over a real HPTP connection: keys, requests, and what is pushed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.servers.hptp import serving as serving_module
from tests.servers.hptp.client import Failed, HptpClient
from tests.servers.hptp.serving import Running, core_of, serving
from tests.servers.running import NAME, PASSWORD, House, built_house

from homeport.core.chat_keys import ChatKeys
from homeport.core.chat_log import ChatLog
from homeport.core.chat_rooms import ChatRooms
from homeport.core.sessions import Sessions
from homeport.servers.chat_access import ChatAccess, Threads
from homeport.servers.chat_hub import ChatHub
from homeport.servers.core_access import CoreAccess
from homeport.servers.hptp.errors import CANCELLED, MALFORMED, UNKNOWN_OP
from homeport.servers.offload import Offload

UDP_PORT = 2125


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with built_house(tmp_path) as house:
        for name in (NAME, "bob"):
            house.accounts.create(name, PASSWORD)
        yield house


@pytest.fixture
def keys(house: House) -> ChatKeys:
    keys = ChatKeys(house.database)
    keys.renew()
    return keys


@pytest.fixture
def server(house: House, keys: ChatKeys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    threads = Threads(Offload(2, name="chat"))
    hub = ChatHub(ChatLog(house.database), ChatRooms(house.database), threads.run)
    chat = ChatAccess(hub, keys, house.accounts.by_id, lambda *_: None, threads, UDP_PORT)

    def with_chat(house: House, sessions: Sessions) -> CoreAccess:
        return replace(core_of(house, sessions), chat=chat)

    monkeypatch.setattr(serving_module, "core_of", with_chat)
    with serving(house) as server:
        yield server
        assert not server.call(lambda: hub.present)  # whoever is gone is not here
    threads.close()


@pytest.fixture
def client(server: Running) -> Iterator[HptpClient]:
    with server.client() as client:
        yield client


def do(client: HptpClient, op: str, **arguments: Any) -> dict[str, Any]:
    return client.ask("chat.do", do={"op": op, **arguments})


def listen(client: HptpClient, after: dict[str, int] | None = None) -> int:
    """The stream, once the server has said what rooms there are."""
    stream = client.open("chat.listen", **({} if after is None else {"after": after}))
    client.wait(lambda: client._of(stream).items or client._of(stream).over)
    return stream


def heard(client: HptpClient, stream: int, count: int) -> list[tuple[Any, Any]]:
    """The first messages that were pushed, without who comes and goes."""

    def messages() -> list[Any]:
        return [item for item in client._of(stream).items if item.get("push") == "message"]

    client.wait(lambda: len(messages()) >= count)
    return [(item["id"], item["text"]) for item in messages()]


def stop(client: HptpClient, stream: int) -> Failed:
    client.engine.cancel(stream, "enough")
    with pytest.raises(Failed) as caught:
        client.finish(stream)
    return caught.value


def test_a_key_opens_a_session_of_the_account_that_asked(client: HptpClient, house: House, keys: ChatKeys) -> None:
    told = client.ask("chat.key")
    found = keys.open(base64.b64decode(str(told["name"])))
    assert found is not None
    assert found.account_id == house.accounts.get(NAME).id
    parts = {part: base64.b64encode(getattr(found, part)).decode() for part in ("name", "client", "server")}
    assert told == {"port": UDP_PORT, **parts}


def test_who_listens_hears_everything_once_and_from_where_it_says(server: Running, client: HptpClient) -> None:
    with server.client("bob") as bob:
        stream = listen(bob)
        assert bob._of(stream).items[0] == {"account": "bob", "rooms": []}
        for one in (client, bob):
            assert do(one, "join", room="lobby", make=True)["room"] == "lobby"
        for number in range(3):
            do(client, "say", room="lobby", text=f"{number}", token=f"t{number}")
        assert do(client, "say", room="lobby", text="2", token="t2")["id"] == 3  # said again, stored once
        assert heard(bob, stream, 3) == [(1, "0"), (2, "1"), (3, "2")]
        assert do(bob, "who", room="lobby")["members"][1] == {"name": "bob", "here": True}
        assert stop(bob, stream).code == CANCELLED
        assert do(client, "who", room="lobby")["members"][1] == {"name": "bob", "here": False}
        again = listen(bob, {"lobby": 1})
        assert heard(bob, again, 2) == [(2, "1"), (3, "2")]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ({"op": "start"}, MALFORMED, "start is chat.listen here"),
        ({"op": "dance"}, MALFORMED, "dance"),
        ({"op": "say", "room": "lobby"}, MALFORMED, "text"),
        ({"op": "say", "room": "nowhere", "text": "x", "token": "t"}, "room-not-found", "no room is called 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    client: HptpClient, arguments: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(Failed, match=words) as caught:
        client.ask("chat.do", do=arguments)
    assert caught.value.code == code


def test_a_request_that_is_no_object_is_refused(client: HptpClient) -> None:
    with pytest.raises(Failed) as caught:
        client.ask("chat.do", do="say")
    assert caught.value.code == MALFORMED


def test_a_connection_listens_once(client: HptpClient) -> None:
    stream = listen(client)
    with pytest.raises(Failed, match="this connection listens to the chat already"):
        client.ask("chat.listen")
    stop(client, stream)
    stop(client, listen(client))


def test_what_is_cancelled_at_once_leaves_nobody_listening(client: HptpClient) -> None:
    stream = client.open("chat.listen")
    assert stop(client, stream).code == CANCELLED
    assert do(client, "who") == {"members": []}


@pytest.mark.parametrize(
    ("op", "arguments"), [("chat.key", {}), ("chat.listen", {}), ("chat.do", {"do": {"op": "who"}})]
)
def test_a_server_without_a_chat_says_so(house: House, op: str, arguments: dict[str, Any]) -> None:
    with serving(house) as server, server.client() as client:
        with pytest.raises(Failed, match="this server has no chat") as caught:
            client.ask(op, **arguments)
        assert caught.value.code == UNKNOWN_OP
