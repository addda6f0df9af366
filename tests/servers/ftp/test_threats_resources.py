"""The rows R2 to R4 of the threat list that concern the FTP server. Each test is named after its row."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.servers.ftp.conftest import Serve
from tests.servers.running import House, RunningServer


def test_r2_slow_readers_cost_no_threads(server: RunningServer, house: House) -> None:
    """Three times as many stalled downloads as there are threads, and a transfer beside them goes on at once."""
    (house.home() / "big").write_bytes(bytes(20_000_000))
    (house.home() / "small").write_bytes(b"small")
    with ExitStack() as stalled:
        for _ in range(48):
            wire = stalled.enter_context(server.visitor())
            data = stalled.enter_context(socket.socket())
            data.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            data.connect(wire.passive())
            assert wire.ask("RETR big").startswith("150")
        with server.visitor() as wire:
            started = time.monotonic()
            for _ in range(5):
                with wire.data() as data:
                    assert wire.ask("RETR small").startswith("150")
                    assert data.recv(100) == b"small"
                    assert wire.reply().startswith("226")
            assert time.monotonic() - started < 5


def test_r2_without_descriptors_a_transfer_is_refused_and_the_session_lives(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    with server.visitor() as wire:
        with monkeypatch.context() as patch:
            patch.setattr("homeport.servers.ftp.passive._listen", none_left)
            assert wire.ask("EPSV").startswith("425 The server cannot open a data connection now (EMFILE)")
        assert wire.ask("EPSV").startswith("229")


def test_r3_sessions_and_transfers_leave_no_thread_and_no_descriptor(server: RunningServer, house: House) -> None:
    (house.home() / "small").write_bytes(b"small")

    def visit() -> None:
        with server.visitor() as wire:
            with wire.data() as data:
                assert wire.ask("RETR small").startswith("150")
                data.recv(100)
            assert wire.reply().startswith("226")
            assert wire.ask("QUIT").startswith("221")

    def gone() -> None:
        for _ in range(2000):
            if not len(server.sessions):
                return
            time.sleep(0.005)
        raise AssertionError("a session was left")

    for _ in range(20):
        visit()
    gone()
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        visit()
    gone()
    assert threading.active_count() <= max(threads, 24)  # no more than the pools may have
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 1


def test_r4_one_hung_disk_call_does_not_hold_up_other_sessions(
    serve: Serve, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from homeport.core.home import Home

    hung, release = threading.Event(), threading.Event()
    real = Home.make_directory

    def hang(home: Home, path: object) -> None:
        hung.set()
        release.wait(20)
        real(home, path)  # type: ignore[arg-type]

    monkeypatch.setattr(Home, "make_directory", hang)
    server = serve()
    with server.visitor() as waiting, server.visitor() as other:
        waiting.send("MKD slow")
        assert hung.wait(10)
        assert other.ask("NOOP").startswith("200")
        assert other.ask("SIZE x").startswith("550")
        release.set()
        assert waiting.reply().startswith("257")
