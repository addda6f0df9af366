"""What one logged-in client can do to a worker with many open streams (threats H1, H3): it costs the others nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.servers.hptp.client import Failed
from tests.servers.hptp.serving import SETTINGS, Running, serving
from tests.servers.running import NAME, PASSWORD, PATIENCE_S, House, built_house

from homeport.core.home import Home
from homeport.protocols.hptp.frames import HEADER, FrameType
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.servers.hptp.arguments import Arguments
from homeport.servers.hptp.operations import OPERATIONS, _Long
from homeport.servers.hptp.requests import Brief

CREDIT = HEADER.pack(4, FrameType.WINDOW, 0, 0, 0) + (1).to_bytes(4, "big")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with built_house(tmp_path) as house:
        house.accounts.create(NAME, PASSWORD)
        yield house


@pytest.fixture
def server(house: House) -> Iterator[Running]:
    with serving(house) as server:
        yield server


def test_h1_a_refusal_does_not_repeat_a_path_of_any_length(server: Running) -> None:
    with server.client() as client:
        with pytest.raises(Failed, match=r"invalid-path: /a{79}\.\.\.: a name cannot hold a NUL"):
            client.ask("stat", path="/" + "a" * 40_000 + "\0")
        client.ask("ping")


def test_h3_files_that_are_cancelled_before_they_are_opened_keep_nobody_out(server: Running, house: House) -> None:
    (house.home() / "large").write_bytes(bytes(1 << 20))
    most = SETTINGS.max_open_files
    with server.client(limits=Limits(software="test", stream_window=0)) as client:
        streams = [client.open("get", path="/large") for _ in range(3 * most)]
        client.wait(lambda: sum(stream in client.streams for stream in streams) >= most)  # their HEADs have come
        for stream in reversed(streams):
            client.engine.cancel(stream, "not wanted")
        for stream in streams:
            with pytest.raises(Failed, match="cancelled"):
                client.finish(stream)
        again = client.open("get", path="/large")
        client.wait(lambda: again in client.streams)
        assert client.streams[again].head is not None


def test_h3_credit_that_nobody_waits_for_costs_nothing(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else ten thousand WINDOW frames, times a thousand open streams, would keep the loop from everybody else."""
    told: list[object] = []
    monkeypatch.setattr(Brief, "credit", told.append)
    with server.client() as client:
        for number in range(900):
            client.open("put", path=f"/{number}", size=1)
        client.send(CREDIT * 10_000)
        client.ask("ping")
    assert told == []


def test_h3_credit_for_the_connection_wakes_every_file_that_waits_for_it(server: Running, house: House) -> None:
    (house.home() / "large").write_bytes(bytes(100_000))
    tight = Limits(software="test", stream_window=1 << 20, connection_window=1000)
    with server.client(limits=tight) as client:
        for stream in [client.open("get", path="/large") for _ in range(20)]:
            assert client.finish(stream).body == bytes(100_000)


def test_h3_long_work_that_nobody_waits_for_any_more_is_not_begun(server: Running, house: House) -> None:
    """Else a thousand digests of a large file, asked for by whoever hangs up at once, would take hours."""
    begun = threading.Semaphore(0)
    may_end = threading.Event()
    asked: list[str] = []

    def slow(_: Home, arguments: Arguments) -> JsonObject:
        asked.append(str(arguments["path"]))
        begun.release()
        assert may_end.wait(PATIENCE_S)
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OPERATIONS, "digest", replace(OPERATIONS["digest"], begin=partial(_Long, deed=slow)))
        with server.client() as client:
            streams = [client.open("digest", path="/large") for _ in range(100)]
            client.flush()
            assert begun.acquire(timeout=PATIENCE_S)
            for stream in streams[50:]:
                client.engine.cancel(stream, "not wanted")
            client.ask("ping")
            client.cut()
            wait_until_gone(server)
            may_end.set()
    with server.client() as client:
        client.ask("ping")
    assert 1 <= len(asked) <= 16  # as many as there are threads


def wait_until_gone(server: Running) -> None:
    """Until the server has noticed that its only client went away."""
    patience_ends = time.monotonic() + PATIENCE_S
    while server.call(lambda: any(not connection._hung_up for connection in server.server._arrivals.clients)):
        assert time.monotonic() < patience_ends
