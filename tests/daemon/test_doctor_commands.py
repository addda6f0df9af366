"""What doctor says of remote commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.servers.sandbox.confined import require_sandbox

from homeport.config.exec import ExecSettings
from homeport.config.model import Settings
from homeport.daemon.doctor_commands import CHECKS
from homeport.daemon.finding import Level, Patient, Result
from homeport.daemon.instance import Instance


def findings(folder: Path, settings: Settings | None = None) -> list[Result]:
    who = Patient(Instance(folder), settings or Settings(), (), None)
    return list(CHECKS["remote commands"](who))


def test_a_trial_is_made_and_leaves_nothing(tmp_path: Path) -> None:
    require_sandbox(tmp_path)
    level, text, _ = findings(tmp_path)[0]
    assert (level, text.partition(" by bubblewrap")[0]) == (Level.PASS, "remote commands are confined")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("user", "count"), [(0, 2), (1000, 1)])
def test_root_is_warned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, count: int) -> None:
    require_sandbox(tmp_path)
    monkeypatch.setattr("homeport.daemon.doctor_commands._is_root", lambda: user == 0)
    assert len(findings(tmp_path)) == count


def test_without_bubblewrap_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert findings(tmp_path) == [
        (
            Level.WARN,
            "remote commands are refused: there is no bubblewrap",
            "install bubblewrap 0.8 or newer (Debian, Ubuntu, Fedora: package bubblewrap)",
        )
    ]


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo bubblewrap 0.4.1", "is too old (bubblewrap 0.4.1)"),
        ("case $1 in --version) echo bubblewrap 0.9.0;; *) echo no namespaces >&2; exit 1;; esac", "no namespaces"),
        ("case $1 in --version) echo bubblewrap 0.9.0;; *) exit 7;; esac", "bubblewrap ended with status 7"),
    ],
)
def test_a_bubblewrap_that_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, text: str
) -> None:
    require_sandbox(tmp_path)
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (finding,) = findings(tmp_path)
    assert finding[0] is Level.WARN
    assert text in finding[1]


def test_switched_off_is_well(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"exec": ExecSettings(enabled=False)}
    assert findings(tmp_path, Settings(**settings)) == [(Level.PASS, "remote commands are switched off", "")]
