"""A server of this protocol, and the ways into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.client.hptp.fake_hptp_server import FakeHptpServer, HptpScript, serving

from homeport.client.hptp import opening
from homeport.client.hptp.remote import HptpRemote
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.trust import KnownHosts, Trust
from homeport.client.url import RemoteUrl

Enter = Callable[..., HptpRemote]


@pytest.fixture
def script() -> HptpScript:
    return HptpScript()


@pytest.fixture
def server(script: HptpScript) -> Iterator[FakeHptpServer]:
    with serving(script) as running:
        yield running


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(KnownHosts(tmp_path / "known_hosts.toml"), None, None)


@pytest.fixture
def enter(server: FakeHptpServer, trust: Trust) -> Iterator[Enter]:
    """Log in to the server; what was opened is closed at the end."""
    opened: list[HptpRemote] = []

    def log_in(
        password: str = "pencil", *, port: int | None = None, stall_s: float = 20.0, trusting: Trust | None = None
    ) -> HptpRemote:
        url = RemoteUrl("hp", "127.0.0.1", port or server.port, "alice", "/")
        options = ConnectionOptions(connect_timeout_s=20.0, stall_timeout_s=stall_s)
        remote = opening.open_hptp(url, Credentials("alice", password), trusting or trust, options)
        opened.append(remote)
        return remote

    yield log_in
    for remote in opened:
        remote.close()
