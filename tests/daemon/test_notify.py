from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from homeport.daemon.notify import notify, notify_reloading


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False
    monkeypatch.setenv("NOTIFY_SOCKET", "vsock:2:1234")
    assert notify("READY=1") is False


@pytest.mark.parametrize("abstract", [False, True])
def test_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"homeport-test-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(10)
        manager.bind(f"\0{name}" if abstract else str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else str(tmp_path / "notify"))
        assert notify("READY=1", "MAINPID=7")
        assert manager.recv(1000) == b"READY=1\nMAINPID=7"
        assert notify_reloading()
        first, second = manager.recv(1000).split(b"\n")
        assert first == b"RELOADING=1"
        assert 0 < int(second.removeprefix(b"MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_manager_that_went_away_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert notify("READY=1") is False
    assert "the service manager could not be told" in caplog.text
