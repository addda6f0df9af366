from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.cli.fake_server import FakeServer

from homeport.cli.main import cli
from homeport.client import dial
from homeport.core import accounts
from homeport.core.passwords import HashCost

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=4096)


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Done]


def invoke(*words: str, stdin: str | None = None) -> Done:
    """Runs a command line in this process; an unexpected error is the test's."""
    result = CliRunner().invoke(cli, list(words), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "instance"


@pytest.fixture
def run(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line on the instance in `directory`, in this process, with cheap password hashes."""
    monkeypatch.setattr(accounts, "HashCost", lambda: CHEAP)
    monkeypatch.setenv("HOMEPORT_DIR", str(directory))

    return invoke


@pytest.fixture
def server() -> FakeServer:
    """The server that every connection of the client's verbs leads to."""
    return FakeServer()


@pytest.fixture
def client(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a client's command line in this process and in `tmp_path`, against `server`, with the right password."""
    monkeypatch.setattr(dial, "open_remote", server.open_remote)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOMEPORT_PASSWORD", "right")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    return invoke
