from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.servers.running import NAME, PASSWORD, SETTINGS, House, RunningServer, built_house, serving

from homeport.core.sessions import SessionLimits
from homeport.servers.ftp.settings import FtpSettings

Serve = Callable[..., RunningServer]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A core with the account alice."""
    with built_house(tmp_path) as built:
        built.accounts.create(NAME, PASSWORD)
        yield built


@pytest.fixture
def serve(house: House) -> Iterator[Serve]:
    """Serve the house with settings of the test's own."""
    with ExitStack() as running:

        def served(settings: FtpSettings = SETTINGS, *, limits: SessionLimits | None = None) -> RunningServer:
            return running.enter_context(serving(house, settings, limits=limits))

        yield served


@pytest.fixture
def server(serve: Serve) -> RunningServer:
    """The house, served."""
    return serve()


@pytest.fixture(params=["asyncio", "uvloop"])
def any_server(request: pytest.FixtureRequest, house: House) -> Iterator[RunningServer]:
    """The house, served by each of the event loops in turn."""
    with serving(house, loop=request.param) as running:
        yield running
