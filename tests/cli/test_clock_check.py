from __future__ import annotations

import threading
import time
from typing import Any, cast

import pytest

from homeport.cli.clock_check import ClockCheck, sentence
from homeport.cli.connecting import Connector
from homeport.client.errors import ConnectionFailed
from homeport.client.hptp.remote import HptpRemote
from homeport.client.url import parse_url


@pytest.mark.parametrize(
    ("ahead_s", "error_s", "said"),
    [
        (0.0, 0.0, None),
        (1.9, 0.0, None),
        (5.0, 3.0, None),
        (7.4, 0.1, "this machine's clock is 7 s behind that of host; "),
        (-3600.0, 0.1, "this machine's clock is 3600 s ahead of that of host; "),
    ],
)
def test_only_what_is_certain_and_worth_it_is_said(ahead_s: float, error_s: float, said: str | None) -> None:
    made = sentence("host", ahead_s, error_s)
    assert made is None if said is None else (made or "").startswith(said)


NOW: dict[str, Any] = {"now_ms": "the time when the test runs, not when it was collected"}


class Remote(HptpRemote):
    def __init__(self, answer: dict[str, Any] | None) -> None:
        self.answer = answer
        self.closed = 0

    def ask(self, doing: str, op: str, **arguments: Any) -> Any:
        if self.answer is None:
            raise ConnectionFailed("gone")
        return self.answer

    def close(self) -> None:
        self.closed += 1


class Dials:
    def __init__(self, remote: object) -> None:
        self.remote = remote

    def dial(self, _: object) -> object:
        return self.remote


def checked(url: str, remote: object) -> ClockCheck:
    check = ClockCheck.__new__(ClockCheck)
    check._connector, check._url = cast(Connector, Dials(remote)), parse_url(url)
    check._sentence = None
    check._ask()
    return check


def test_a_clock_that_is_off_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    remote = Remote({"now_ms": int(time.time() * 1000) + 90_000})
    checked("hp://alice@host/", remote).report()
    assert capsys.readouterr().err.startswith("this machine's clock is 90 s behind that of host; ")
    assert remote.closed == 1


@pytest.mark.parametrize("answer", [None, {}, {"now_ms": "x"}, NOW])
def test_silence_in_every_other_case(capsys: pytest.CaptureFixture[str], answer: dict[str, Any] | None) -> None:
    right_now = {"now_ms": int(time.time() * 1000)}
    checked("hp://alice@host/", Remote(right_now if answer is NOW else answer)).report()
    checked("hp://alice@host/", object()).report()
    assert capsys.readouterr().err == ""


def test_other_protocols_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(threading, "Thread", started.append)
    ClockCheck(cast(Connector, Dials(None)), parse_url("ftp://alice@host/")).report()
    assert started == []
