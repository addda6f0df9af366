"""One server a module, fresh folders a test."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.interop.live_server import Account, LiveServer, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with Homeport's defaults: every login needs TLS."""
    with running(tmp_path_factory.mktemp("instance")) as server:
        yield server


@pytest.fixture
def account(server: LiveServer, request: pytest.FixtureRequest) -> Account:
    """An account of the test's own."""
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
    return server.add_account(f"u{digest[:12]}")


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """Makes a file of random bytes that are the same in every run."""

    def make(name: str = "film.bin", size: int = 8 * 2**20 + 4711) -> Path:
        path = tmp_path / name
        path.write_bytes(random.Random(name).randbytes(size))
        return path

    return make
