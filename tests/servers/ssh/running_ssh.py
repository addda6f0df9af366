"""A real SSH server on loopback, in a thread with an event loop of its own, over a real core on a temporary folder.

    with built_house(folder) as house, serving_ssh(house) as server:
        house.accounts.create("alice", "secret")
        server.client().sftp ...

Its clients are asyncssh's, driven from the test's thread through one more loop in the background.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
from tests.servers.living import Living, living
from tests.servers.running import LENIENT, NAME, PASSWORD, core_of

from homeport.core.key_login import KeyLogin
from homeport.core.login_guard import LoginGuard
from homeport.core.sessions import SessionLimits, Sessions
from homeport.core.ssh_keys import SshKeys
from homeport.servers.core_access import CoreAccess
from homeport.servers.ssh.server import SshServer
from homeport.servers.ssh.settings import SshSettings, SshTimes

T = TypeVar("T")

PATIENCE_S = 20.0
SETTINGS = SshSettings(listen=("127.0.0.1",), port=0, times=SshTimes(login_s=10.0, keepalive_s=0.0))


@cache
def host_key() -> asyncssh.SSHKey:
    """The test servers' key."""
    return asyncssh.generate_private_key("ssh-ed25519")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="clients")
        self._thread.start()

    def wait(self, work: Awaitable[T], patience_s: float = PATIENCE_S) -> T:
        """What it returns or raises."""

        async def coroutine() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(coroutine(), self.loop).result(patience_s)

    def close(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()

    def _live(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


@dataclass
class RunningSsh(Living[SshServer]):
    """The server, the threads it lives in, and the way to its loop."""

    house: Any
    keys: SshKeys
    clients: Loop
    port: int
    host: str = "127.0.0.1"

    @property
    def sessions(self) -> Sessions:
        return self.core.sessions

    async def connect(self, name: str = NAME, password: str | None = PASSWORD, **options: Any) -> Any:
        """A client's connection, for the clients' loop."""
        options.setdefault("client_keys", None)
        options.setdefault("known_hosts", None)
        options.setdefault("config", None)
        options.setdefault("agent_path", None)
        return await asyncssh.connect(self.host, self.port, username=name, password=password, **options)

    def connected(self, name: str = NAME, password: str | None = PASSWORD, **options: Any) -> Any:
        """A client's connection."""
        return self.clients.wait(self.connect(name, password, **options))


@contextmanager
def serving_ssh(
    house: Any, settings: SshSettings = SETTINGS, *, loop: str = "uvloop", limits: SessionLimits | None = None
) -> Iterator[RunningSsh]:
    """Serve `house` until the block ends. Nothing may be left of any client then."""

    def build() -> tuple[SshServer, CoreAccess]:
        core = ssh_core(house, Sessions(limits))
        return SshServer(replace(settings, host_keys=(str(_key_file(house.root)),)), core), core

    with closing(Loop()) as clients, living(build, loop) as found:
        port = found.server.addresses[0].port
        yield RunningSsh(found.server, found.core, found.loop, house, SshKeys(house.database), clients, port)


def ssh_core(house: Any, sessions: Sessions) -> CoreAccess:
    """What the server is given of the house."""
    guard = LoginGuard(house.database, getattr(house, "guard", LENIENT))
    return replace(core_of(house, sessions), keys=KeyLogin(house.accounts, SshKeys(house.database), guard))


def _key_file(folder: Path) -> Path:
    path = folder / "host_key"
    if not path.exists():
        host_key().write_private_key(path)
        path.chmod(0o600)
    return path
