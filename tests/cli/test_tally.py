from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport.cli.connection_options import Moving
from homeport.cli.progress import Drawing, PlainDrawing, words_of
from homeport.cli.progress_choice import drawing
from homeport.cli.progress_json import JsonDrawing
from homeport.cli.tally import Tally, seconds_text
from homeport.client.errors import ConnectionFailed, LocalFailed
from homeport.client.events import (
    Event,
    Failure,
    FileDone,
    FileFailed,
    FileStarted,
    JobDone,
    JobStarted,
    Notice,
    Progress,
    Restarted,
    Retrying,
    Scanned,
    Summary,
)
from homeport.client.items import Deed, Item, upload

MIB = 1024 * 1024
BIG = upload(Path("/x/big"), "/big", size=100 * MIB)
SMALL = upload(Path("/x/中\x1b"), "/s", size=MIB)
FOLDER = Item(deed=Deed.MAKE_FOLDER, name="d", local=Path("d"), remote="/d")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_job_from_its_beginning_to_its_end() -> None:
    tally = Tally(0.0)
    assert tally.line(0.0) == "0 files, 0 B, 0 B/s"
    tally.hear(Scanned(500, 7, finished=False), 0.0)
    assert tally.line(0.0) == "0 files, 0 B, 0 B/s, scanning: 500 files so far"
    tally.hear(Scanned(2, 101 * MIB, finished=True), 0.0)
    tally.hear(FileStarted(BIG, 40 * MIB, 100 * MIB), 0.0)  # a resume: those bytes are there
    for second in range(1, 11):
        tally.hear(Progress(BIG, MIB, (40 + second) * MIB), float(second))
    assert tally.line(10.0) == "0 of 2 files, 50.0 MiB of 101 MiB, 1.00 MiB/s, 51s left"
    tally.hear(FileDone(BIG, 100 * MIB, verified="SHA-256"), 11.0)
    tally.hear(FileDone(FOLDER, 0), 11.0)
    tally.hear(FileFailed(SMALL, LocalFailed("no")), 11.0)
    assert tally.line(11.0).startswith("1 of 2 files, 100 MiB of 101 MiB, ")
    assert tally.line(11.0).endswith(", 1 failed")


def test_bytes_of_a_broken_try_count_again_from_where_it_goes_on() -> None:
    tally = Tally(0.0)
    tally.hear(FileStarted(BIG, 0, 100), 0.0)
    tally.hear(Progress(BIG, 60, 60), 1.0)
    tally.hear(FileStarted(BIG, 50, 100), 2.0)
    assert tally.bytes == 50
    tally.hear(Restarted(BIG, "the file over there is another"), 3.0)
    assert tally.bytes == 0
    tally.hear(Progress(BIG, 1, 1), 3.0)  # between the tries
    assert tally.bytes == 0


LAST_LINES = [
    (Summary(1, 0, 3 * MIB, 2.0), {"SHA-256"}, 0, "1 file, 3.00 MiB in 2.0s (1.50 MiB/s), SHA-256 verified"),
    (Summary(1, 1, 0, 0.04), set(), 0, "1 file, 0 B in 0.0s, 1 already complete"),
    (Summary(1, 0, 512, 0.0), set(), 1, "1 file, 512 B in 0.0s (0 B/s), 1 file without a digest to compare: "),
    (
        Summary(1, 0, 512, 75, (Failure(BIG, LocalFailed("x")),)),
        {"MD5"},
        0,
        "in 1m 15s (7 B/s), MD5 verified, 1 failed",
    ),
]


@pytest.mark.parametrize(("summary", "verified", "unverified", "text"), LAST_LINES)
def test_last_lines(summary: Summary, verified: set[str], unverified: int, text: str) -> None:
    tally = Tally(0.0)
    tally.files, tally.verified, tally.unverified = 1, verified, unverified
    assert text in tally.last_line(summary)


def removal(deed: Deed) -> Event:
    return FileDone(Item(deed=deed, name="x", local=Path("x"), remote="/x"), 0)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([removal(Deed.REMOVE_FILE)], "1 file removed in 0.1s"),
        ([removal(Deed.REMOVE_FILE)] * 2 + [removal(Deed.REMOVE_FOLDER)], "2 files and 1 folder removed in 0.1s"),
        ([removal(Deed.REMOVE_FILE), FileDone(SMALL, 0, verified="MD5")], "1 file, 0 B in 0.1s, MD5 verified"),
        ([removal(Deed.REMOVE_FILE), FileFailed(SMALL, LocalFailed("no"))], "0 files, 0 B in 0.1s"),
        ([FileDone(FOLDER, 0)], "0 files, 0 B in 0.1s"),
    ],
)
def test_the_last_line_of_a_job_that_only_removes(events: list[Event], text: str) -> None:
    tally = Tally(0.0)
    for event in events:
        tally.hear(event, 0.0)
    assert tally.last_line(Summary(len(events), 0, 0, 0.1)) == text


def test_seconds() -> None:
    assert [seconds_text(value) for value in (0.04, 9.96, 10, 61)] == ["0.0s", "10.0s", "10s", "1m 01s"]


WORDS = [
    (FileFailed(SMALL, LocalFailed("disk\n")), "中\x1b: disk\n"),
    (Retrying(ConnectionFailed("gone"), 2.4, 1), "gone; trying again in 2 s"),
    (Restarted(BIG, "it changed"), "big: begins again: it changed"),
    (FileStarted(BIG, 40 * MIB, 100 * MIB), "big: resumes at 40.0 MiB"),
    (FileStarted(BIG, 0, 100 * MIB), ""),
    (Notice("hm"), "hm"),
    (Notice("hm", BIG), "big: hm"),
    (JobStarted(4), ""),
    (Progress(BIG, 1, 1), ""),
]


@pytest.mark.parametrize(("event", "text"), WORDS)
def test_words(event: Event, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words_of(event) == text
    with Drawing() as drawn:
        drawn.hear(event)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.err
    assert shown.err.count("\n") == bool(text)


def test_a_line_every_ten_seconds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = PlainDrawing(Clock())
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 2

    monkeypatch.setattr(drawn._over, "wait", wait)
    drawn._tick()
    assert waits == [10.0, 10.0, 10.0]
    assert capsys.readouterr().err == "0 files, 0 B, 0 B/s\n" * 2


def test_plain_ends_with_the_average(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainDrawing() as drawn:
        drawn.hear(FileDone(BIG, 100 * MIB, verified="MD5"))
        drawn.hear(JobDone(Summary(1, 0, 100 * MIB, 4.0)))
        drawn.hear(JobDone(Summary(0, 0, 0, 4.0, error=LocalFailed("said by whoever hears it"))))
    assert capsys.readouterr().err == "1 file, 100 MiB in 4.0s (25.0 MiB/s), MD5 verified\n"


def test_json_events(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    drawn = JsonDrawing(clock)
    events: list[Event] = [
        JobStarted(4),
        Scanned(1, 100, finished=True),
        FileStarted(BIG, 0, 100),
        Progress(BIG, 10, 10),
        Retrying(ConnectionFailed("gone"), 1.23456, 2),
        Restarted(BIG, "why"),
        Notice("hm", SMALL),
        Notice("hm"),
        FileFailed(BIG, LocalFailed("no")),
    ]
    for event in events:
        drawn.hear(event)
    clock.now += 1
    drawn.hear(Progress(BIG, 10, 20))
    drawn.hear(Progress(BIG, 10, 30))
    drawn.hear(JobDone(Summary(0, 0, 30, 2.0, (Failure(BIG, LocalFailed("no")),), LocalFailed("disk"))))
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in objects] == [
        "scanned",
        "file-started",
        "retrying",
        "restarted",
        "notice",
        "notice",
        "file-failed",
        "progress",
        "summary",
    ]
    assert objects[4] == {"event": "notice", "name": "中\x1b", "text": "hm"}
    assert objects[7]["total_bytes"] == 100
    assert objects[8]["failed"] == [{"name": "big", "error": {"code": 1, "kind": "LocalFailed", "message": "no"}}]
    assert (objects[8]["bytes_per_s"], objects[8]["error"]["message"]) == (15, "disk")


CHOICES = [
    (Moving(progress="none"), False, True, "Drawing"),
    (Moving(progress="plain"), False, True, "PlainDrawing"),
    (Moving(progress="json"), False, True, "JsonDrawing"),
    (Moving(), True, True, "JsonDrawing"),
    (Moving(), False, False, "PlainDrawing"),
    (Moving(), False, True, "BarDrawing"),
]


@pytest.mark.parametrize(("moving", "as_json", "is_terminal", "kind"), CHOICES)
def test_who_draws(
    moving: Moving, as_json: bool, is_terminal: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert type(drawing(moving, as_json=as_json)).__name__ == kind
    monkeypatch.setenv("TERM", "dumb")
    if kind == "BarDrawing":
        assert type(drawing(moving, as_json=as_json)).__name__ == "PlainDrawing"


@pytest.fixture
def screen() -> Callable[[str], tuple[object, Callable[[], str]]]:
    import io

    from rich.console import Console

    def make(encoding: str) -> tuple[object, Callable[[], str]]:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", write_through=True)
        console = Console(file=stream, force_terminal=True, width=100, color_system=None)
        return console, lambda: raw.getvalue().decode(encoding)

    return make


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "ascii"])
def test_bars(screen: Callable[[str], tuple[object, Callable[[], str]]], encoding: str) -> None:
    from rich.console import Console

    from homeport.cli.progress_bars import BarDrawing

    console, shown = screen(encoding)
    assert isinstance(console, Console)
    clock = Clock()
    with BarDrawing(clock, console) as drawn:
        drawn.hear(Scanned(2, 101 * MIB, finished=True))
        drawn.hear(FileStarted(SMALL, 0, MIB))
        drawn.hear(FileStarted(BIG, 0, 100 * MIB))
        clock.now += 1
        drawn.hear(Progress(BIG, 50 * MIB, 50 * MIB))
        drawn._live.refresh()
        drawn.hear(FileDone(BIG, 100 * MIB, verified="SHA-256"))
        drawn.hear(FileFailed(SMALL, LocalFailed("no\x1b[2J")))
        drawn.hear(JobDone(Summary(1, 0, 100 * MIB, 4.0)))
    text = shown()
    assert re.search(r"big +\[====== +\] +50% +50\.0 MiB +50\.0 MiB/s +1s", text)
    assert re.search(r"0 of 2 files +\[===== +\] +49%", text)
    assert "1 file, 100 MiB in 4.0s (25.0 MiB/s), SHA-256 verified" in text
    assert "\\x1b: no\\x1b[2J" in text
    assert drawn.picture().plain == ""
    assert ("中" in text) == (encoding != "ascii")
