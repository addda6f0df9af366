from __future__ import annotations

import logging

import pytest

from homeport.daemon import logs


@pytest.fixture(autouse=True)
def restored() -> object:
    root = logging.getLogger()
    before = root.handlers[:], root.level

    yield

    root.handlers[:], root.level = before[0], before[1]


def test_one_event_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logs.configure("info", "worker0")
    logging.getLogger("x").warning("login of %s", "eve\n2026 INFO: login of root\x1b[2J\u2028名\udc80")
    logging.getLogger("x").debug("too much")
    said = capsys.readouterr().err
    assert said.endswith("] WARNING: login of eve\\n2026 INFO: login of root\\x1b[2J\\u2028名\\udc80\n")
    assert said.startswith("worker0[")
    assert said.count("\n") == 1


def test_the_time_stands_in_front_without_a_journal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    logs.configure("debug", "master")
    logging.getLogger("x").debug("hi")
    assert " master[" in capsys.readouterr().err
