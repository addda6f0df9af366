from __future__ import annotations

import pytest
from tests.cli.conftest import invoke

from homeport.client import time_query
from homeport.client.time_query import Place
from homeport.protocols.ntp import Measurement

GOOD = Measurement(-0.25, 0.0042, 3, synchronised=True, dispersion_s=0.5)


def test_the_time_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Place, str]] = []
    monkeypatch.setattr(time_query, "ask_text", lambda *words: asked.append(words) or "12:05\x1b[2J\n你好\t.")  # type: ignore[func-returns-value]
    done = invoke("time", "host:99", "@Asia/Shanghai %H:%M")
    assert (done.code, done.out, done.err) == (0, "12:05\\x1b[2J\n你好      .\n", "")
    assert asked == [(Place("host", 99), "@Asia/Shanghai %H:%M")]
    assert invoke("time", "host", "--json").objects == [{"time": "12:05\x1b[2J\n你好\t."}]
    assert asked[1] == (Place("host"), "")


def test_the_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_query, "measure_offset", lambda _: GOOD)
    done = invoke("time", "--offset", "host")
    assert (done.code, done.out, done.err) == (
        0,
        "offset -0.250000 s +/- 0.002100 s, delay 0.004200 s, stratum 3\n",
        "",
    )
    assert invoke("time", "--offset", "--json", "host").objects == [
        {
            "offset_s": -0.25,
            "error_s": 0.0021,
            "delay_s": 0.0042,
            "stratum": 3,
            "synchronised": True,
            "dispersion_s": 0.5,
        }
    ]


def test_a_clock_that_nothing_keeps_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_query, "measure_offset", lambda _: Measurement(1.5, 0.0, 16, False, 16.0))
    done = invoke("time", "--offset", "host")
    assert done.out == "offset +1.500000 s +/- 0.000000 s, delay 0.000000 s, stratum 16\n"
    assert done.err == "host says that nothing keeps its own clock right; it may be the one that is wrong\n"


def test_a_format_with_an_offset_makes_no_sense() -> None:
    done = invoke("time", "--offset", "host", "%H")
    assert (done.code, done.err.partition(";")[0]) == (2, "homeport: a FORMAT is for the time itself")
    assert invoke("time", "a b").code == 2
