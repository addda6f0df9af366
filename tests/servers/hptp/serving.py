"""A real HPTP server on loopback, in a thread with an event loop of its own, over a real core on a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.servers import running
from tests.servers.hptp.client import HptpClient, logged_in
from tests.servers.living import Living, living
from tests.servers.running import CHEAP, LENIENT, NAME, PASSWORD, certificate_in

from homeport.core.login_guard import LoginGuard
from homeport.core.proof_login import ProofLogin
from homeport.core.sessions import SessionLimits, Sessions
from homeport.servers.core_access import CoreAccess
from homeport.servers.hptp.server import HptpServer
from homeport.servers.hptp.settings import HptpSettings, HptpTimes

SETTINGS = HptpSettings(
    listen=("127.0.0.1",),
    port=0,
    services={"ftp": {"port": 2121}},
    times=HptpTimes(login_s=10.0, handshake_s=5.0, send_s=5.0, data_s=10.0, look_s=0.02),
)


@dataclass
class Running(Living[HptpServer]):
    """The server and the thread it lives in."""

    house: Any
    address: tuple[str, int] | str

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

    def build() -> tuple[HptpServer, CoreAccess]:
        core = core_of(house, Sessions(limits))
        return HptpServer(settings, core, certificate_in(house.root)), core

    with living(build, loop) as found:
        first = found.server.addresses[0]
        yield Running(found.server, found.core, found.loop, house, first.path or (first.host, first.port))


def core_of(house: Any, sessions: Sessions) -> CoreAccess:
    guard = LoginGuard(house.database, getattr(house, "guard", LENIENT))
    return replace(
        running.core_of(house, sessions, few=3), proofs=ProofLogin(house.database, house.accounts, guard, cost=CHEAP)
    )
