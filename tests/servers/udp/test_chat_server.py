"""The chat's server on real sockets: sockets, timers, sessions that are counted and can be kicked."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from pathlib import Path
from typing import Any, cast

from tests.core.chats import Chat
from tests.servers.loops import Run, until

from homeport.client.chat.carriers import Grant, UdpCarrier
from homeport.client.chat.client import ChatClient, Connected
from homeport.client.chat.core import ChatCore, Said
from homeport.core.accounts import Account
from homeport.core.chat_keys import ChatKeys
from homeport.core.errors import LoginRefused
from homeport.core.sessions import SessionLimits, SessionRecord, Sessions
from homeport.core.state import open_database
from homeport.servers.chat_access import ChatAccess, Threads
from homeport.servers.chat_bell import Bell
from homeport.servers.chat_hub import ChatHub
from homeport.servers.datagrams import Rules
from homeport.servers.listening import Wish
from homeport.servers.offload import Offload
from homeport.servers.udp.chat_server import ChatServer

RULES = Rules(max_bytes=1200, per_s=10_000, burst=10_000, reply_bytes=None)


class House:
    def __init__(self, folder: Path) -> None:
        self.database = open_database(f"sqlite:///{folder / 'state.db'}")
        self.chat = Chat(self.database, folder / "homes")
        self.chat.add("alice", "bob")
        self.sessions = Sessions(SessionLimits())
        self.threads = Threads(Offload(2, name="chat"))
        self.keys = ChatKeys(self.database)
        hub = ChatHub(self.chat.log, self.chat.rooms, self.threads.run)
        access = ChatAccess(hub, self.keys, self.chat.accounts.by_id, self._watch, self.threads, 0)
        self.changed: set[str] = set()
        self.server = ChatServer(access, self.sessions, Bell(folder, 0, hub.heard_elsewhere), 100)
        self.server.listen(Wish("chat", ("127.0.0.1",), 0), RULES)

    def _watch(self, account: Account, record: SessionRecord) -> None:
        assert record.account == account.name
        if account.name in self.changed:
            raise LoginRefused("the password was changed", 0.0)

    async def start(self) -> int:
        await self.server.bind()
        await self.server.serve()
        return self.server.addresses[0].port

    async def close(self) -> None:
        await self.server.close()
        await self.server.close()
        self.threads.close()
        self.database.close()

    def come_in(self, name: str, port: int) -> tuple[ChatCore, UdpCarrier]:
        keys = self.keys.issue(self.chat.ids[name])
        core = ChatCore()
        carrier = UdpCarrier(Grant(port, keys.name, keys.client, keys.server), "127.0.0.1", core.receive)
        core.send = carrier.send
        core.begin()
        return core, carrier


def test_two_people_talk_and_one_is_kicked(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        port = await house.start()
        alice, bob = house.come_in("alice", port), house.come_in("bob", port)
        answers: list[Any] = []
        for core, _ in (alice, bob):
            core.join("lobby", answers.append, make=True)
        await until(lambda: len(answers) == 2)
        alice[0].say("lobby", "hello", answers.append)
        await until(lambda: bob[0].events)
        assert [event.text for event in bob[0].take_events() if isinstance(event, Said)] == ["hello"]
        assert {(record.protocol, record.account) for record in house.sessions.snapshot()} == {
            ("chat", "alice"),
            ("chat", "bob"),
        }
        house.sessions.kick("bob", "the administrator ended this session")
        assert await asyncio.wait_for(bob[1].ended, 10) == "the administrator ended this session"
        await until(lambda: len(house.sessions) == 1)
        house.server.reload(RULES)
        await house.server.drain(5)
        assert await asyncio.wait_for(alice[1].ended, 10) == "the server is going down"
        await house.close()
        assert len(house.sessions) == 0

    run(main())


class Desk:
    """Gives out keys as a connection of HPTP would."""

    def __init__(self, house: House, name: str, port: int) -> None:
        self._house, self._name, self._port = house, name, port

    def ask(self, _doing: str, _op: str) -> dict[str, Any]:
        keys = self._house.keys.issue(self._house.chat.ids[self._name])
        told = {"name": keys.name, "client": keys.client, "server": keys.server}
        return {"port": self._port, **{name: b64encode(value).decode() for name, value in told.items()}}

    def close(self) -> None:
        pass


def test_who_leaves_is_gone_at_once(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        port = await house.start()
        async with ChatClient(cast("Any", lambda: Desk(house, "alice", port)), "127.0.0.1") as chat:
            assert await anext(aiter(chat)) == Connected("udp")
            assert len(house.sessions) == 1
            descriptors = len(os.listdir("/proc/self/fd"))
        assert len(os.listdir("/proc/self/fd")) == descriptors - 1, "the socket is closed"
        await asyncio.wait_for(until(lambda: len(house.sessions) == 0), 5)  # not when its silence is noticed
        await house.close()

    run(main())


def test_an_account_that_is_disabled_is_not_let_in(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        port = await house.start()
        house.chat.accounts.update("bob", enabled=False)
        _, carrier = house.come_in("bob", port)
        assert await asyncio.wait_for(carrier.ended, 10) == "login incorrect"
        assert len(house.sessions) == 0
        await house.close()

    run(main())


def test_an_account_that_changes_while_it_comes_in_is_not_let_in(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        port = await house.start()
        house.changed.add("bob")
        _, carrier = house.come_in("bob", port)
        assert await asyncio.wait_for(carrier.ended, 10) == "login incorrect"
        assert len(house.sessions) == 0
        await house.close()

    run(main())


def test_an_unused_server_can_be_closed(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        await House(tmp_path).close()

    run(main())
