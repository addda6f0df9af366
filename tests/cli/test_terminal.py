from __future__ import annotations

import io
import sys

import pytest

from homeport.cli.terminal import make_streams_robust, printable, put_json, put_table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("名前 é", "名前 é"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\r", "a\\nb\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udc80", "\\udc80"),
        ("\u2028\x85\x9b", "\\u2028\\x85\\x9b"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_tables_count_cells(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(("A", "B"), [("名", "1"), ("e\u0301\x1b", "22")])
    assert capsys.readouterr().out.splitlines() == ["A      B", "名     1", "e\u0301\\x1b  22"]


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    put_json({"name": "名\u2028"})
    assert capsys.readouterr().out == '{"name": "\\u540d\\u2028"}\n'


def test_a_terminal_that_cannot_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    make_streams_robust()
    print("名", flush=True)
    assert raw.getvalue() == b"\\u540d\n"
