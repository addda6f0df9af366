from __future__ import annotations

import io
import signal
import sys
import threading

import pytest

from homeport.cli.cmd_cat import TerminalSink
from homeport.cli.listing import columns, in_order, mode_text, put_long, put_short, time_text
from homeport.cli.remote_paths import join, name_of, parent_of, resolve
from homeport.cli.stopping import Terminated, sigterm_raises
from homeport.cli.terminal import cells_of, fit
from homeport.client.remote import Kind, RemoteEntry

FITS = [
    ("abc", 5, "abc  "),
    ("abc", 3, "abc"),
    ("abcdefgh", 6, "ab..gh"),
    ("中文名字", 8, "中文名字"),
    ("中文名字", 7, "中..字 "),
    ("中文名字", 5, "中.. "),
    ("e\u0301e\u0301e\u0301e\u0301", 4, "e\u0301e\u0301e\u0301e\u0301"),
]


@pytest.mark.parametrize(("text", "cells", "shown"), FITS)
def test_fit(text: str, cells: int, shown: str) -> None:
    assert fit(text, cells) == shown
    assert cells_of(fit(text, cells)) == cells


COLUMNS = [
    ([], 80, []),
    (["a", "b", "c"], 80, ["a  b  c"]),
    (["a", "b", "c"], 0, ["a", "b", "c"]),
    (["a", "b", "c", "d", "e"], 7, ["a  c  e", "b  d"]),
    (["中文", "b", "中", "d"], 9, ["中文  中", "b     d"]),
    (["much too wide", "b"], 5, ["much too wide", "b"]),
]


@pytest.mark.parametrize(("names", "width", "lines"), COLUMNS)
def test_columns(names: list[str], width: int, lines: list[str]) -> None:
    assert list(columns(names, width)) == lines


def test_columns_of_many() -> None:
    names = [f"name {number}" for number in range(1000)]
    lines = list(columns(names, 100))
    assert max(map(len, lines)) <= 100
    assert len(lines) == 100


def test_order() -> None:
    entries = [RemoteEntry(name, Kind.FILE) for name in ("b", "A", "a")] + [RemoteEntry("z", Kind.DIRECTORY)]
    assert [entry.name for entry in in_order(entries)] == ["z", "A", "a", "b"]


def test_a_folder_has_no_size(capsys: pytest.CaptureFixture[str]) -> None:
    put_long([RemoteEntry("a", Kind.DIRECTORY, size=4096), RemoteEntry("b", Kind.FILE, size=2)], exact=True)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["-", "2"]


def test_short_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    put_short([RemoteEntry("a\x1b", Kind.LINK), RemoteEntry("b", Kind.FILE)])
    assert capsys.readouterr().out == "a\\x1b@  b\n"


def test_facts_that_are_missing_or_mad() -> None:
    assert mode_text(RemoteEntry("x", Kind.OTHER)) == "?---------"
    assert mode_text(RemoteEntry("x", Kind.LINK, mode=0o7777)) == "lrwsrwsrwt"
    assert (time_text(None), time_text(1e300), time_text(float("inf"))) == ("-", "-", "-")


PATHS = [
    ("/", "a", "/a"),
    ("/a", "..", "/"),
    ("/a", "../../..", "/"),
    ("/a/b", "../c/./d//e", "/a/c/d/e"),
    ("/a", "/x/", "/x"),
    ("/a", "", "/a"),
    ("/", "//x", "/x"),
]


@pytest.mark.parametrize(("folder", "words", "path"), PATHS)
def test_resolve(folder: str, words: str, path: str) -> None:
    assert resolve(folder, words) == path


def test_parts_of_paths() -> None:
    assert (name_of("/a/b/"), name_of("/"), parent_of("/a/b/"), parent_of("/a"), join("/", "x")) == (
        "b",
        "",
        "/a",
        "/",
        "/x",
    )


TEXTS = [
    ([b"plain\n"], "plain\n"),
    ([b"no end"], "no end\n"),
    (["中".encode()[:1], "中".encode()[1:]], "中\n"),
    ([b"\x1b[2Ja\tb\r\n\xff"], "\\x1b[2Ja\tb\n\\udcff\n"),
    ([], ""),
]


@pytest.mark.parametrize(("blocks", "shown"), TEXTS)
def test_a_terminal_gets_text(blocks: list[bytes], shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    sink = TerminalSink()
    for block in blocks:
        sink.write(memoryview(block))
    sink.finish()
    assert screen.getvalue() == shown


def test_sigterm() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated, match="terminated"), sigterm_raises():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    told: list[object] = []

    def elsewhere() -> None:
        with sigterm_raises():
            told.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert told == [before]
