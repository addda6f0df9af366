"""Uploads whose bytes wait in memory (threat H3): those that wait for the server stay, those for the client may go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.servers.hptp.client import Failed
from tests.servers.hptp.serving import SETTINGS, serving
from tests.servers.running import NAME, PASSWORD, PATIENCE_S, House, built_house

from homeport.core.home import Home
from homeport.core.transfer import Upload
from homeport.protocols.hptp.limits import Limits

TIGHT = replace(SETTINGS, limits=Limits(connection_window=1 << 20, stream_window=1 << 20), max_open_files=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with built_house(tmp_path) as house:
        house.accounts.create(NAME, PASSWORD)
        yield house


def test_h3_uploads_that_a_slow_disk_keeps_waiting_are_not_turned_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than half of the window waits, but for the server, not for the client: it goes on by itself."""
    monkeypatch.setattr(Home, "begin_upload", _once_set(Home.begin_upload, may_begin := threading.Event()))
    bodies = {f"/{number}": bytes([number]) * 200_000 for number in range(5)}
    with serving(house, TIGHT) as server, server.client() as client:
        streams = {client.begin_put(path, body, size=len(body)): path for path, body in bodies.items()}
        client.ask("ping")  # all has come
        may_begin.set()
        for stream in streams:
            client.finish(stream)
    for path, body in bodies.items():
        assert (house.home() / path[1:]).read_bytes() == body


def test_h3_uploads_before_their_turn_make_room_for_those_that_are_open(house: House) -> None:
    size, half = 600_000, bytes(300_000)
    with serving(house, TIGHT) as server, server.client() as client:
        open_one = client.open("put", path="/open", size=size)
        client.wait(lambda: client.engine.is_open(open_one))
        client.send_body(open_one, half)
        client.ask("ping")
        waiting = [client.open("put", path=f"/waits{number}", size=size) for number in range(3)]
        for stream in waiting:
            client.send_body(stream, half)
        client.send_body(open_one, half)  # for which there is credit again
        client.engine.send_end(open_one, {"size": size})
        assert client.finish(open_one).result()["size"] == size
        with pytest.raises(Failed, match="too-many-transfers: too many uploads at once that have not ended"):
            client.finish(waiting[0])


def _once_set(begin: Callable[..., Upload], event: threading.Event) -> Callable[..., Upload]:
    """`begin`, as soon as `event` is set."""

    def late(*args: Any, **kwargs: Any) -> Upload:
        assert event.wait(PATIENCE_S)
        return begin(*args, **kwargs)

    return late
