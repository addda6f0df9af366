"""The chat over real sockets against a real server, which is killed in the midst of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.interop.live_server import HOMEPORT, PATIENCE_S, Account, LiveServer, running
from tests.servers.loops import until

from homeport.client.chat.client import ChatClient, Connected, Disconnected
from homeport.client.chat.core import Said
from homeport.client.chat.opening import dialler
from homeport.client.errors import LoginFailed, RemoteNotFound, UsageError

pytestmark = pytest.mark.interop
SETTINGS = {"chat.messages_per_s": "1000", "chat.requests_per_s": "1000", "workers": "2"}


def ports_stay(server: LiveServer) -> None:
    """A second start takes the same ports."""
    services = server.json("status")[0]["services"]
    server.settings |= {f"{name}.port": str(services[name]["port"]) for name in ("hptp", "chat")}


def fingerprint(server: LiveServer) -> str:
    line = next(line for line in server.output if line.startswith("key fingerprint: "))
    return line.removeprefix("key fingerprint: ").strip()


def client(server: LiveServer, account: Account, *, udp: bool) -> ChatClient:
    url = f"hp://{account.name}@localhost:{server.settings['hptp.port']}"
    return ChatClient(dialler(url, password=account.password, fingerprint=fingerprint(server)), "localhost", udp=udp)


class Person:
    """Listens until it has heard what a test waits for."""

    def __init__(self, chat: ChatClient) -> None:
        self.chat = chat
        self.heard: list[Said] = []
        self.carriers: list[str] = []
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for news in self.chat:
            if isinstance(news, Said):
                self.heard.append(news)
            elif isinstance(news, Connected):
                self.carriers.append(news.carrier)

    def texts(self) -> list[tuple[int, str]]:
        return [(said.id, said.text) for said in self.heard]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 3 * PATIENCE_S))


def test_udp_and_hptp_are_one_chat_and_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "instance", **SETTINGS) as server:
        accounts = [server.add_account(name) for name in ("alice", "bob", "carol")]
        ports_stay(server)

        async def main() -> None:
            chats = [client(server, account, udp=account.name != "carol") for account in accounts]
            async with chats[0], chats[1], chats[2]:
                people = [Person(chat) for chat in chats]
                for chat in chats:
                    await chat.join("lobby", make=True)
                for number in range(30):
                    await chats[number % 3].say("lobby", f"{number}")
                await asyncio.to_thread(server.kill)
                late = asyncio.gather(*(chat.say("lobby", f"after, {chat.account}") for chat in chats))
                await asyncio.to_thread(server.start)
                await late
                for person in people:
                    await until(lambda person=person: len(person.heard) == 33, PATIENCE_S)  # type: ignore[misc]
                assert people[0].texts() == people[1].texts() == people[2].texts()
                assert [number for number, _ in people[0].texts()] == list(range(1, 34))
                assert [person.carriers for person in people] == [["udp"] * 2, ["udp"] * 2, ["hptp"] * 2]
                with pytest.raises(RemoteNotFound, match="no room is called 'nowhere'"):
                    await chats[0].say("nowhere", "x")
                told = await chats[2].who("lobby")
                assert [member["name"] for member in told] == ["alice", "bob", "carol"]

        run(main())


@pytest.mark.parametrize("udp", [True, False])
def test_a_changed_password_ends_the_chat_at_once(tmp_path: Path, udp: bool) -> None:
    with running(tmp_path / "instance") as server:
        accounts = [server.add_account(name) for name in ("alice", "bob")]
        ports_stay(server)

        async def main() -> None:
            chats = [client(server, account, udp=udp) for account in accounts]
            async with chats[0], chats[1]:
                news = aiter(chats[1])
                assert await anext(news) == Connected("udp" if udp else "hptp")
                await asyncio.to_thread(server.run, "user", "passwd", "bob", "--password-stdin", stdin="another\n")
                ended = await asyncio.wait_for(anext(news), 3)  # long before anything is reviewed
                assert isinstance(ended, Disconnected)
                assert not udp or ended.reason == "the password was changed"
                with pytest.raises(LoginFailed):
                    await anext(news)
                assert await chats[0].who() == [{"name": "alice", "here": True}]

        run(main())


def test_the_command_line_talks_too(tmp_path: Path) -> None:
    with running(tmp_path / "instance") as server:
        bob = server.add_account("bob")
        ports_stay(server)
        url = f"hp://bob@localhost:{server.settings['hptp.port']}"
        words = ["--fingerprint", fingerprint(server), "--password-stdin", "--json", url, "lobby"]
        said = json.dumps({"room": "lobby", "text": "你好"})
        done = subprocess.run(
            [str(HOMEPORT), "chat", *words],
            input=f"{bob.password}\n{said}\nand a line\n/quit\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 2,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert {"event": "stored", "room": "lobby", "id": 1} in events
        assert events[0] == {"event": "connected", "carrier": "udp"}
        assert server.json("room", "list") == [{"room": "lobby", "open": True, "messages": 2}]


def test_wrong_passwords_and_other_schemes_are_refused(tmp_path: Path) -> None:
    for url in ("ftp://bob@localhost", "hp://localhost"):
        with pytest.raises(UsageError, match="is no place to chat; write hp://NAME@HOST"):
            dialler(url, password="x")
    with running(tmp_path / "instance") as server:
        server.add_account("bob")
        ports_stay(server)

        async def main() -> None:
            with pytest.raises(LoginFailed):
                await client(server, Account("bob", "wrong"), udp=True).open()

        run(main())
