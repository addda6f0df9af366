from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.fake_server import FakeServer

from homeport.cli.connecting import Connector
from homeport.cli.connection_options import How, Moving
from homeport.cli.shell.background import Jobs
from homeport.cli.shell.session import Session
from homeport.client import dial


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer()
    server.add("/a.txt", b"one")
    server.add("/b.txt", b"two")
    server.add("/我的 文件/读我 first.txt", "你好".encode())
    server.add("/docs/deep/x", b"three")
    return server


@pytest.fixture
def make(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Session]]:
    """Makes shells on `server`, with the local folder `tmp_path/work`."""
    monkeypatch.setattr(dial, "open_remote", server.open_remote)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOMEPORT_PASSWORD", "right")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    made: list[Session] = []

    def build(url: str = "ftp://alice@host", *, interactive: bool = False) -> Session:
        connector = Connector(How())
        moving = Moving(progress="plain")
        session = Session(connector, connector.remote_of(url), moving, Jobs(), interactive=interactive)
        session.begin()
        made.append(session)
        return session

    yield build
    for session in made:
        session.jobs.stop()
        session.disconnect()


@pytest.fixture
def session(make: Callable[..., Session]) -> Session:
    return make()
