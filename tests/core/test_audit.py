from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.core import audit_events
from homeport.core.audit import AuditLog, LineFile, json_line, xferlog_line
from homeport.core.audit_events import (
    NAMES,
    BanLifted,
    BanSet,
    ConfigReloaded,
    Deleted,
    Downloaded,
    Event,
    LoggedIn,
    LoggedOut,
    LoginFailed,
    QuotaDrift,
    Renamed,
    Transferred,
    Uploaded,
    Who,
)
from homeport.core.sessions import Sessions

MOMENT = 1_700_000_000.1234
ANN = Who("s1", "ann", "192.0.2.1", "ftp")
LINE = {"session": "s1", "account": "ann", "peer": "192.0.2.1", "protocol": "ftp"}
HOSTILE = [
    "a\nb",
    "a\r\nb",
    "\x1b[2J",
    "\u2028",
    "\u202e",
    '"quoted"',
    "\x00",
    "back\\slash",
    "\udcff\udc80",
    "\ud800",
    "中文",
]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def upload(path: str = "/film", *, complete: bool = True, text: bool = False) -> Uploaded:
    reason = None if complete else "the peer went away"
    return Uploaded(ANN, path, 30, 40, 10, 1.6, complete, sha256="ab", reason=reason, ascii=text)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (LoggedIn(ANN, "TLSv1.3"), {"event": "login", **LINE, "tls": "TLSv1.3"}),
        (
            LoginFailed(Who(peer="192.0.2.1"), "root", "no such account"),
            {
                "event": "login refused",
                "session": None,
                "account": None,
                "peer": "192.0.2.1",
                "protocol": None,
                "name": "root",
                "reason": "no such account",
            },
        ),
        (LoggedOut(ANN, 2.5), {"event": "logout", **LINE, "seconds": 2.5, "reason": None}),
        (
            upload(),
            {
                "event": "upload",
                **LINE,
                "path": "/film",
                "bytes": 30,
                "size": 40,
                "offset": 10,
                "seconds": 1.6,
                "complete": True,
                "sha256": "ab",
                "reason": None,
                "ascii": False,
            },
        ),
        (Deleted(ANN, "/x"), {"event": "delete", **LINE, "path": "/x"}),
        (Renamed(ANN, "/x", "/y"), {"event": "rename", **LINE, "path": "/x", "target": "/y"}),
        (QuotaDrift(ANN, -5, 1), {"event": "quota drift", **LINE, "drift_bytes": -5, "drift_files": 1}),
    ],
)
def test_lines(event: Event, expected: dict[str, object]) -> None:
    line = json.loads(json_line(MOMENT, event))
    assert list(line.items()) == [("time", "2023-11-14T22:13:20.123Z"), *expected.items()]


def test_every_event_has_a_name() -> None:
    kinds = {
        kind
        for kind in vars(audit_events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in (Event, Transferred)
    }
    assert set(NAMES) == kinds
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_forges_a_line(name: str) -> None:
    line = json_line(MOMENT, Deleted(ANN, name))
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line[:-1].decode().isprintable()
    assert json.loads(line)["path"] == name
    transfer = xferlog_line(MOMENT, upload(name))
    assert transfer.count(b"\n") == 1
    assert len(transfer.split(b" ")) == len(b"Tue Nov 14 22:13:20 2023 2 h 30 p b _ i r a f 0 * c".split(b" "))


@pytest.mark.parametrize(
    ("event", "tail"),
    [
        (upload(), "30 /film b _ i r ann ftp 0 * c"),
        (upload("/my film\t1", complete=False), "30 /my_film_1 b _ i r ann ftp 0 * i"),
        (upload("/中文", text=True), "30 /中文 a _ i r ann ftp 0 * c"),
        (Downloaded(ANN, "/film", 30, 40, 0, 1.6, complete=True), "30 /film b _ o r ann ftp 0 * c"),
    ],
)
def test_xferlog(event: Transferred, tail: str) -> None:
    assert xferlog_line(MOMENT, event).decode() == f"Tue Nov 14 22:13:20 2023 2 192.0.2.1 {tail}\n"


def test_xferlog_of_unknown_peers_and_undecodable_names() -> None:
    event = Uploaded(Who(), "/a\udcff", 0, 0, 0, 0.0, complete=True)
    assert xferlog_line(MOMENT, event) == b"Tue Nov 14 22:13:20 2023 1 _ 0 /a\xff b _ i r _ _ 0 * c\n"


def test_who_is_the_sessions_user() -> None:
    record = Sessions().open("ftp", "192.0.2.1")
    assert Who.of(record) == Who(record.id, None, "192.0.2.1", "ftp")


# The files


def events_in(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_events_are_written_in_their_order(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "logs" / "audit.jsonl", tmp_path / "logs" / "xferlog", clock=lambda: MOMENT)
    log.write(LoggedIn(ANN))
    log._start()  # as a second thread's first event would
    log.write(upload())
    log.write(BanSet(Who(), "address", "192.0.2.9", "guessing", None))
    log.write(BanLifted(Who(), "192.0.2.9"))
    log.flush()
    assert events_in(tmp_path / "logs" / "audit.jsonl") == ["login", "upload", "ban", "unban"]
    assert (tmp_path / "logs" / "xferlog").read_bytes() == xferlog_line(MOMENT, upload())
    assert (tmp_path / "logs" / "audit.jsonl").stat().st_mode & 0o777 & ~0o640 == 0
    log.write(ConfigReloaded(Who()))
    log.close()
    log.close()
    assert events_in(tmp_path / "logs" / "audit.jsonl")[-1] == "config reload"
    assert log.lost == 0


def test_a_log_without_events_makes_no_file(tmp_path: Path) -> None:
    AuditLog(tmp_path / "audit.jsonl", tmp_path / "xferlog").close()
    assert list(tmp_path.iterdir()) == []


def test_the_thread_writes_by_itself_and_threads_share_it(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    gate = threading.Barrier(4)

    def write() -> None:
        gate.wait()
        for _ in range(500):
            log.write(LoggedIn(ANN))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(3000):
        if not log._waiting and (tmp_path / "audit.jsonl").exists():
            break
        threading.Event().wait(0.01)
    log.close()
    assert events_in(tmp_path / "audit.jsonl") == ["login"] * 2000


@pytest.mark.parametrize("how", ["reopen", "moved"])
def test_rotation(tmp_path: Path, how: str) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.write(LoggedIn(ANN))
    log.flush()
    path.rename(tmp_path / "audit.1")
    if how == "reopen":
        log.reopen()
    log.write(LoggedOut(ANN, 1.0))
    log.close()
    assert (events_in(tmp_path / "audit.1"), events_in(path)) == (["login"], ["logout"])


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    log = AuditLog(tmp_path / "logs" / "audit.jsonl", tmp_path / "logs" / "xferlog")
    for _ in range(3):
        log.write(upload())
        log.flush()
    assert log.lost == 6
    assert [record.message for record in caplog.records] == [
        "audit.jsonl cannot be written: File exists; its lines are lost until it can",
        "xferlog cannot be written: File exists; its lines are lost until it can",
    ]
    (tmp_path / "logs").unlink()
    log.write(upload())
    log.close()
    assert caplog.records[-1].message == "xferlog is written again; 3 lines are lost in all"
    assert events_in(tmp_path / "logs" / "audit.jsonl") == ["upload"]


def test_a_fifo_in_the_logs_place_hangs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "audit.jsonl")
    reader = os.open(tmp_path / "audit.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write(LoggedIn(ANN))
    log.close()
    os.close(reader)
    assert "audit.jsonl cannot be written: it is not a regular file" in caplog.text


@pytest.mark.parametrize(
    ("taken", "lost", "content"),
    [(0, 2, b"three\n"), (3, 2, b"one\nthree\n"), (4, 1, b"one\nthree\n"), (6, 1, b"one\ntw\nthree\n")],
)
def test_a_disk_that_fills_up_tears_one_line_at_most(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    taken: int,
    lost: int,
    content: bytes,
) -> None:
    file = LineFile(tmp_path / "log")
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, block: write(file, block[:taken]))
        file.append([b"one\n", b"two\n"])
    assert "log cannot be written: the disk is full" in caplog.text
    file.append([b"three\n"])
    file.append([])
    file.close()
    assert file.lost == lost
    assert (tmp_path / "log").read_bytes() == content


def test_a_queue_that_grows_without_end_is_cut(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", most_waiting=2)
    with log._writing:
        for _ in range(5):
            log.write(LoggedIn(ANN))
        assert log.lost == 3
    log.close()
    assert events_in(tmp_path / "audit.jsonl") == ["login"] * 2


def test_an_impossible_event_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    with caplog.at_level(logging.ERROR):
        log.write(Event(ANN))
        for _ in range(3000):
            if caplog.records:
                break
            threading.Event().wait(0.01)
    log.write(LoggedIn(ANN))
    log.close()
    assert "an audit event could not be written" in caplog.text
    assert events_in(tmp_path / "audit.jsonl") == ["login"]
