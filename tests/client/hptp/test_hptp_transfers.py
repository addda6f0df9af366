"""The transfer engine over one HPTP connection: many files at once, interruptions, and servers that lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.client.hptp.conftest import Enter
from tests.client.hptp.fake_hptp_server import ANSWERS, FakeHptpServer, HptpScript, Session, Stored, sha256

from homeport.client import errors
from homeport.client.engine import Engine
from homeport.client.events import Event, FileDone, FileStarted, Restarted, Summary
from homeport.client.items import Item, Known, download, upload
from homeport.client.job import Surroundings
from homeport.client.options import TransferOptions
from homeport.client.retry import RetryPolicy
from homeport.client.sync import Direction, Sync
from homeport.protocols.hptp.events import RequestReceived
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.strict_json import JsonObject

MIB = 1 << 20


@dataclass
class Bench:
    folder: Path
    enter: Enter
    events: list[Event] = field(default_factory=list)
    jobs: int = 2
    attempts: int = 4

    def engine(self) -> Engine:
        options = TransferOptions(
            jobs=self.jobs, retry=RetryPolicy(attempts=self.attempts), fsync=False, state_folder=self.folder / "states"
        )
        around = Surroundings(wait=lambda event, seconds: event.is_set())
        return Engine(self.enter, self.events.append, options, origin="hp://alice@h", surroundings=around)

    def run(self, *items: Item) -> Summary:
        with self.engine() as engine:
            return engine.run(items)

    def local(self, name: str, data: bytes | None = None) -> Path:
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        return path

    def heard(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def bench(tmp_path: Path, enter: Enter) -> Bench:
    (tmp_path / "here").mkdir()
    return Bench(tmp_path / "here", enter)


def test_hundreds_of_files_go_up_and_come_down_over_one_connection(
    bench: Bench, script: HptpScript, server: FakeHptpServer
) -> None:
    contents = {f"f{number}": os.urandom(number * 7) for number in range(300)}
    items = [upload(bench.local(name, data), f"/{name}", known=Known(None)) for name, data in contents.items()]
    summary = bench.run(*items)
    assert summary.is_clean
    assert summary.done == 300
    assert {path: stored.data for path, stored in script.files.items()} == {
        f"/{name}": data for name, data in contents.items()
    }
    assert {event.verified for event in bench.heard(FileDone) if isinstance(event, FileDone)} == {"SHA-256"}
    assert {op for op, _ in script.asked} == {"put"}, "one request a file, its time along with it"
    mtime = (bench.folder / "f7").stat().st_mtime_ns
    assert script.files["/f7"].mtime_ns == mtime
    summary = bench.run(*(download(f"/{name}", bench.local(f"back-{name}")) for name in contents))
    assert summary.is_clean
    assert {name: bench.local(f"back-{name}").read_bytes() for name in contents} == contents
    assert abs(bench.local("back-f7").stat().st_mtime_ns - mtime) < 1000, "as near as a float of seconds is"
    assert server.connections == 2


def test_what_is_there_already_is_not_sent_again(bench: Bench, script: HptpScript) -> None:
    bench.run(upload(bench.local("a", b"abc"), "/a"))
    script.asked.clear()
    summary = bench.run(upload(bench.local("a"), "/a"), download("/a", bench.local("a")))
    assert summary.already_complete == 2
    assert {op for op, _ in script.asked} == {"stat"}


def test_more_than_the_server_takes_at_once(bench: Bench, script: HptpScript) -> None:
    script.limits = Limits(software="narrow", max_streams=3, stream_window=65536, connection_window=65536)
    items = [upload(bench.local(f"f{number}", os.urandom(30_000)), f"/f{number}") for number in range(40)]
    assert bench.run(*items).is_clean
    assert len(script.files) == 40


def test_a_cut_upload_goes_on_where_it_stopped(bench: Bench, script: HptpScript) -> None:
    data = os.urandom(5 * MIB)
    script.cut_after = 2 * MIB
    assert bench.run(upload(bench.local("big", data), "/big")).is_clean
    assert script.files["/big"].data == data
    offsets = [event.offset for event in bench.heard(FileStarted) if isinstance(event, FileStarted)]
    assert offsets[0] == 0
    assert offsets[1] >= 2 * MIB


def test_a_beginning_that_is_not_ours_is_not_gone_on_with(bench: Bench, script: HptpScript) -> None:
    data = os.urandom(5 * MIB)
    script.cut_after = 2 * MIB
    honest = script.answers

    def spoil(session: Session, request: RequestReceived) -> None:
        if request.arguments.get("resume"):
            script.partials["/big"] = bytes(len(script.partials["/big"]))
        ANSWERS["put"](session, request)

    honest["put"] = spoil
    assert bench.run(upload(bench.local("big", data), "/big")).is_clean
    assert script.files["/big"].data == data
    assert bench.heard(Restarted)


def test_one_cut_fails_many_deeds_and_counts_once(bench: Bench, script: HptpScript, server: FakeHptpServer) -> None:
    cut: list[int] = []

    def once(session: Session, request: RequestReceived) -> None:
        if len(cut) < 3 and request.stream > 20 and not session.engine.closed:
            cut.append(request.stream)
            session.cut()
            return
        ANSWERS["put"](session, request)

    script.answers["put"] = once
    items = [upload(bench.local(f"f{number}", b"x" * 100), f"/f{number}", known=Known(None)) for number in range(200)]
    summary = bench.run(*items)
    assert summary.is_clean
    assert len(script.files) == 200
    assert len(cut) == 3
    assert server.connections == 4


def test_a_server_that_is_gone_for_good_ends_the_job(bench: Bench, script: HptpScript) -> None:
    script.answers["put"] = lambda session, request: session.cut()
    items = [upload(bench.local(f"f{number}", b"x"), f"/f{number}") for number in range(20)]
    summary = bench.run(*items)
    problems = [failure.error for failure in summary.failures] + ([summary.error] if summary.error else [])
    assert {type(problem) for problem in problems} == {errors.ConnectionFailed}
    assert (summary.done, script.files) == (0, {})


def test_one_refused_file_leaves_the_others_alone(bench: Bench, script: HptpScript) -> None:
    items = [upload(bench.local(f"f{number}", b"x"), f"/f{number}") for number in range(20)]
    summary = bench.run(*items, upload(bench.local("bad", b"x"), "/missing/bad"))
    assert [failure.item.remote for failure in summary.failures] == ["/missing/bad"]
    assert summary.done == 20


def test_a_full_server_ends_the_job(bench: Bench, script: HptpScript) -> None:
    script.answers["put"] = lambda session, request: session.engine.send_error(request.stream, "quota-exceeded", "full")
    summary = bench.run(*(upload(bench.local(f"f{number}", b"x" * 200_000), f"/f{number}") for number in range(5)))
    assert isinstance(summary.error, errors.NoRoom)


def test_a_stop_ends_what_is_under_way(bench: Bench, script: HptpScript) -> None:
    engine = bench.engine()
    script.answers["get"] = lambda session, request: engine.stop()
    script.files["/a"] = Stored(b"abc")
    with engine:
        summary = engine.run([download("/a", bench.local("a"))])
    assert summary.stopped
    assert not bench.local("a").exists()


# --- servers that lie: what is here stays untouched ---


def longer(session: Session, request: RequestReceived) -> None:
    session.engine.send_head(request.stream, {"size": 3, "mtime_ns": 0, "sha256": sha256(b"abc")})
    session.engine.send_data(request.stream, b"abcdefgh")
    session.engine.send_result(request.stream, {})


def shorter(session: Session, request: RequestReceived) -> None:
    session.engine.send_head(request.stream, {"size": 3, "mtime_ns": 0, "sha256": sha256(b"abc")})
    session.engine.send_data(request.stream, b"ab")
    session.engine.send_result(request.stream, {})


def other(session: Session, request: RequestReceived) -> None:
    session.engine.send_head(request.stream, {"size": 3, "mtime_ns": 0, "sha256": sha256(b"abc")})
    session.engine.send_data(request.stream, b"abx")
    session.engine.send_result(request.stream, {})


def refused(session: Session, request: RequestReceived) -> None:
    session.engine.send_head(request.stream, {"size": 3, "mtime_ns": 0, "sha256": sha256(b"abc")})
    session.engine.send_data(request.stream, b"ab")
    session.engine.send_error(request.stream, "source-changed", "it shrank")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (longer, errors.IntegrityMismatch),
        (shorter, errors.IntegrityMismatch),
        (other, errors.IntegrityMismatch),
        (refused, errors.ServerRefused),
    ],
)
def test_bytes_that_are_not_those_announced_never_get_the_name(
    bench: Bench, script: HptpScript, answer: Callable[[Session, RequestReceived], None], kind: type[Exception]
) -> None:
    script.files["/a"] = Stored(b"abc")
    script.answers["get"] = answer
    target = bench.local("a", b"old")
    summary = bench.run(download("/a", target))
    assert [type(failure.error) for failure in summary.failures] == [kind]
    assert target.read_bytes() == b"old"


def test_an_upload_whose_digest_differs_is_an_error(bench: Bench, script: HptpScript) -> None:
    script.results = lambda result: {**result, "sha256": sha256(b"abx")}
    summary = bench.run(upload(bench.local("a", b"abc"), "/a", known=Known(None)))
    assert [type(failure.error) for failure in summary.failures] == [errors.IntegrityMismatch]


def test_an_answer_before_the_end_of_an_upload_is_no_success(bench: Bench, script: HptpScript) -> None:
    script.answers["put"] = lambda session, request: session.engine.send_result(request.stream, {"size": 3})
    summary = bench.run(upload(bench.local("a", b"abc" * MIB), "/a", known=Known(None)))
    assert [type(failure.error) for failure in summary.failures] == [errors.ProtocolViolation]


# --- trees ---


def test_a_sync_asks_once_for_the_whole_tree(bench: Bench, script: HptpScript) -> None:
    (bench.folder / "src" / "deep" / "er").mkdir(parents=True)
    for name in ("a", "deep/b", "deep/er/c"):
        bench.local(f"src/{name}", name.encode())
    script.folders.add("/dst")
    with bench.engine() as engine:
        sync = Sync(engine, bench.folder / "src", "/dst", Direction.UP)
        assert sync.execute(sync.plan()).is_clean
        assert set(script.files) == {"/dst/a", "/dst/deep/b", "/dst/deep/er/c"}
        script.asked.clear()
        assert sync.plan().steps == ()
    assert [op for op, _ in script.asked] == ["walk"]


@pytest.mark.parametrize("path", ["../evil", "a/../../evil", "/evil", "deep/../evil", "nowhere/evil", ".."])
def test_a_tree_with_names_that_lead_elsewhere_is_not_followed(bench: Bench, script: HptpScript, path: str) -> None:
    def lie(session: Session, request: RequestReceived) -> None:
        facts: dict[str, int] = {"size": 4, "mtime_ns": 0, "mode": 420}
        session.engine.send_items(
            request.stream,
            [
                {"path": "deep", "kind": "directory", **facts},
                {"path": path, "kind": "file", **facts},
                {"path": "honest", "kind": "file", **facts},
            ],
        )
        session.engine.send_result(request.stream, {})

    script.answers["walk"] = lie
    script.files["/src/honest"] = Stored(b"good")
    with bench.engine() as engine:
        sync = Sync(engine, bench.folder / "dst", "/src", Direction.DOWN)
        assert sync.execute(sync.plan()).is_clean
    assert sorted(str(found.relative_to(bench.folder)) for found in bench.folder.rglob("*")) == [
        "dst",
        "dst/deep",
        "dst/honest",
    ]


def test_a_tree_that_names_a_file_twice_is_refused(bench: Bench, script: HptpScript) -> None:
    def lie(session: Session, request: RequestReceived) -> None:
        session.engine.send_items(request.stream, [{"path": "a", "kind": "file", "size": 1}] * 2)
        session.engine.send_result(request.stream, {})

    script.answers["walk"] = lie
    with bench.engine() as engine, pytest.raises(errors.ProtocolViolation, match="lists 'a' twice"):
        Sync(engine, bench.folder / "dst", "/", Direction.DOWN).plan()


def test_a_folder_that_cannot_be_read_is_no_empty_one(bench: Bench, script: HptpScript) -> None:
    def partly(session: Session, request: RequestReceived) -> None:
        error: JsonObject = {"path": "deep", "error": {"code": "right-missing", "message": "not allowed"}}
        session.engine.send_items(request.stream, [{"path": "deep", "kind": "directory"}, error])
        session.engine.send_result(request.stream, {})

    script.answers["walk"] = partly
    (bench.folder / "dst" / "deep").mkdir(parents=True)
    bench.local("dst/deep/precious", b"x")
    with bench.engine() as engine:
        plan = Sync(engine, bench.folder / "dst", "/", Direction.DOWN).plan()
    assert [(problem.segments, problem.reason) for problem in plan.blocked] == [(("deep",), "not allowed")]
    assert plan.deletes == 0
