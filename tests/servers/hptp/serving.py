"""A real HPTP server on loopback, in a thread with an event loop of its own, over a real core on a temporary folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.servers.hptp.client import HptpClient, logged_in
from tests.servers.loops import FACTORIES
from tests.servers.running import CHEAP, LENIENT, NAME, PASSWORD, PATIENCE_S, certificate_in

from homeport.core.home import Home
from homeport.core.login import Login
from homeport.core.login_guard import LoginGuard
from homeport.core.passwords import PasswordVerifier
from homeport.core.proof_login import ProofLogin
from homeport.core.sessions import SessionLimits, Sessions
from homeport.servers.core_access import CoreAccess
from homeport.servers.hptp.server import HptpServer
from homeport.servers.hptp.settings import HptpSettings, HptpTimes
from homeport.servers.offload import Offload

T = TypeVar("T")
SETTINGS = HptpSettings(
    listen=("127.0.0.1",),
    port=0,
    services={"ftp": {"port": 2121}},
    times=HptpTimes(login_s=10.0, handshake_s=5.0, send_s=5.0, data_s=10.0, look_s=0.02),
)


@dataclass
class Running:
    """The server and the thread it lives in. `call` runs something in its loop."""

    server: HptpServer
    house: Any
    core: CoreAccess
    loop: asyncio.AbstractEventLoop
    address: tuple[str, int] | str

    def call(self, function: Callable[[], T]) -> T:
        async def called() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(PATIENCE_S)

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    def visitor(self, **options: Any) -> HptpClient:
        """A connection that has not logged in."""
        return HptpClient(self.address, **options)

    @contextmanager
    def client(self, name: str = NAME, password: str = PASSWORD, **options: Any) -> Iterator[HptpClient]:
        with logged_in(self.address, name, password, **options) as client:
            yield client


@contextmanager
def serving(
    house: Any, settings: HptpSettings = SETTINGS, *, loop: str = "uvloop", limits: SessionLimits | None = None
) -> Iterator[Running]:
    """Serve `house` until the block ends. Nothing may be left of any client then."""
    sessions = Sessions(limits)
    started, stop = threading.Event(), asyncio.Event()
    running: list[Running] = []
    failure: list[BaseException] = []

    async def main() -> None:
        core = core_of(house, sessions)
        server = HptpServer(settings, core, certificate_in(house.root))
        try:
            await server.bind()
            await server.serve()
            first = server.addresses[0]
            address = first.path or (first.host, first.port)
            running.append(Running(server, house, core, asyncio.get_running_loop(), address))
            started.set()
            await stop.wait()
        finally:
            await server.close()
            for threads in (core.files, core.listings, core.logins):
                threads.close()

    def live() -> None:
        try:
            with asyncio.Runner(loop_factory=FACTORIES[loop], debug=False) as runner:
                runner.run(main())
        except BaseException as error:
            failure.append(error)
            started.set()

    thread = threading.Thread(target=live, name="hptp server")
    thread.start()
    assert started.wait(PATIENCE_S)
    try:
        if failure:
            raise failure[0]
        yield running[0]
    finally:
        if running:
            running[0].loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    if failure:
        raise failure[0]
    assert len(sessions) == 0


def core_of(house: Any, sessions: Sessions) -> CoreAccess:
    guard = LoginGuard(house.database, getattr(house, "guard", LENIENT))
    return CoreAccess(
        login=Login(house.accounts, PasswordVerifier(2, cost=CHEAP), guard),
        sessions=sessions,
        open_home=lambda account, record: Home(account, house.services, record),
        files=Offload(16, few=3, name="files"),
        listings=Offload(16, few=2, patience_s=0.25, name="listings"),
        logins=Offload(4, name="logins"),
        audit=house.services.audit.write,
        proofs=ProofLogin(house.database, house.accounts, guard, cost=CHEAP),
    )
