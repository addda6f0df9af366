"""When a command's output is held back, and how its end reads as a status."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from homeport.client.ssh.command import Ended, RemoteCommand


class Sink:
    is_full = False

    def __init__(self) -> None:
        self.got = b""

    def take(self, data: bytes) -> bool:
        self.got += data
        return not self.is_full


class Channel:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def test_output_is_held_back_between_deliveries_and_not_within_one() -> None:
    soon: list[Any] = []
    loop = SimpleNamespace(call_soon=soon.append)
    connection: Any = SimpleNamespace(driver=SimpleNamespace(loop=loop, wake=lambda: None))
    out, err, channel = Sink(), Sink(), Channel()
    command = RemoteCommand(connection, out, err)
    command.connection_made(channel)  # type: ignore[arg-type]
    command.data_received(b"a", None)
    assert soon == []
    out.is_full = True
    command.data_received(b"b", None)
    command.data_received(b"c", None)
    command.data_received(b"e", 1)
    assert (out.got, err.got, channel.calls, len(soon)) == (b"abc", b"e", [], 1)
    soon.pop()()
    assert channel.calls == ["pause"]
    command.data_received(b"d", None)
    out.is_full = False  # there was room before the turn came
    soon.pop()()
    assert channel.calls == ["pause"]
    command.resume()
    assert channel.calls == ["pause", "resume"]
    command.connection_lost(None)
    command.resume()
    command.write(b"too late")
    assert channel.calls == ["pause", "resume"]


@pytest.mark.parametrize(
    ("ended", "code"),
    [(Ended(0), 0), (Ended(255), 255), (Ended(None, "KILL"), 137), (Ended(None, "NONSENSE"), 255), (Ended(None), 255)],
)
def test_the_status_of_an_end(ended: Ended, code: int) -> None:
    assert ended.code == code
