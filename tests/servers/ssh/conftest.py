"""A house with one account, and a server on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.running import NAME, PASSWORD, House, built_house
from tests.servers.ssh.running_ssh import RunningSsh, serving_ssh
from tests.servers.ssh.sftp_client import Sftp


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with built_house(tmp_path) as house:
        house.accounts.create(NAME, PASSWORD, quota_bytes=1_000_000)
        yield house


@pytest.fixture
def server(house: House) -> Iterator[RunningSsh]:
    with serving_ssh(house) as server:
        yield server


@pytest.fixture
def sftp(server: RunningSsh) -> Iterator[Sftp]:
    with Sftp.of(server) as sftp:
        yield sftp
