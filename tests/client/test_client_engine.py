from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.client.engines import Bench, names
from tests.client.fake_remote import PLAIN, FakeRemote

from homeport.client import errors
from homeport.client.errors import ClientError, ConnectionFailed
from homeport.client.events import (
    Failure,
    FileDone,
    FileFailed,
    FileStarted,
    JobDone,
    JobStarted,
    Notice,
    Progress,
    Retrying,
    Summary,
)
from homeport.client.items import Deed, Item, Known, Phase, Side, download, upload
from homeport.client.remote import Kind, RemoteEntry


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_job_says_what_it_does(bench: Bench) -> None:
    bench.server.put("/a", b"x" * 25)
    summary = bench.get("/a", "a")
    item = download("/a", bench.local("a"))
    assert bench.events == [
        JobStarted(1),
        FileStarted(item, 0, 25),
        Progress(item, 10, 10),
        Progress(item, 10, 20),
        Progress(item, 5, 25),
        FileDone(item, 25, verified="SHA-256"),
        JobDone(summary),
    ]
    assert summary == Summary(1, 0, 25, 0.0)
    assert summary.is_clean
    assert summary.verdict is None


def test_many_files_over_several_connections(bench: Bench) -> None:
    bench.jobs = 4
    for number in range(50):
        bench.server.put(f"/f{number}", bytes([number]) * 30)
    summary = bench.run(*(download(f"/f{number}", bench.local(f"f{number}")) for number in range(50)))
    assert (summary.done, summary.bytes, summary.is_clean) == (50, 1500, True)
    assert all(bench.local(f"f{number}").read_bytes() == bytes([number]) * 30 for number in range(50))
    assert len(bench.server.remotes) <= 4
    assert not any(remote.is_open for remote in bench.server.remotes)


def test_connections_stay_open_between_runs(bench: Bench) -> None:
    bench.server.put("/a", b"x")
    with bench.engine() as engine:
        for name in "bcd":
            assert engine.run([download("/a", bench.local(name))]).is_clean
        assert bench.server.count("dial") == 1
    assert not bench.server.remotes[0].is_open


def test_a_broken_connection_is_made_again_and_the_file_goes_on(bench: Bench) -> None:
    data = bytes(range(256)) * 8192
    bench.server.block = 100_000
    bench.server.put("/a", data)
    bench.server.cuts.extend([700_000, 500_000])
    summary = bench.get("/a", "a")
    assert summary.is_clean
    assert bench.local("a").read_bytes() == data
    assert bench.server.moved == len(data)
    assert [event.offset for event in bench.heard(FileStarted)] == [0, 700_000, 1_200_000]
    assert len(bench.heard(Retrying)) == 2
    assert names(bench.folder) == ["a"]


def test_it_gives_up_when_nothing_comes_through_any_more(bench: Bench) -> None:
    bench.server.put("/a", b"x" * 10)
    bench.server.refuse("open_reader", "/a", *[ConnectionFailed("gone")] * 4)
    summary = bench.get("/a", "a")
    assert str(summary.error) == "gone"
    assert summary.verdict is summary.error
    assert bench.waits == [0.25, 0.5, 1.0]
    assert [(event.delay_s, event.attempt) for event in bench.heard(Retrying)] == [(0.25, 1), (0.5, 2), (1.0, 3)]


def test_a_server_that_cannot_be_reached(bench: Bench) -> None:
    bench.server.dial_refusals.extend([ConnectionFailed("refused")] * 4)
    assert str(bench.get("/a", "a").error) == "refused"
    assert bench.waits == [0.25, 0.5, 1.0]


def test_a_server_that_comes_back(bench: Bench) -> None:
    bench.server.put("/a", b"abc")
    bench.server.dial_refusals.extend([ConnectionFailed("refused")] * 3)
    assert bench.get("/a", "a").is_clean


@pytest.mark.parametrize(
    "error",
    [
        errors.LoginFailed("no"),
        errors.IdentityUnknown("no", "sha256:"),
        errors.IdentityChanged("no", "a", "b"),
        errors.TlsRefused("no"),
        errors.Incompatible("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_second_try_mends_ends_the_job_at_once(bench: Bench, error: ClientError) -> None:
    bench.server.dial_refusals.append(error)
    summary = bench.get("/a", "a")
    assert summary.error is error
    assert bench.waits == []
    assert bench.server.count("dial") == 1


def test_no_room_ends_the_whole_job(bench: Bench) -> None:
    bench.server.refuse("open_writer", "/f3", errors.NoRoom("quota", 552, "quota exceeded"))
    items = [upload(bench.local(f"f{number}", b"x"), f"/f{number}") for number in range(100)]
    summary = bench.run(*items)
    assert isinstance(summary.error, errors.NoRoom)
    assert summary.done == 3
    assert "/f4" not in bench.server.files


def test_one_file_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    bench.server.put("/b", b"b")
    summary = bench.run(download("/a", bench.local("a")), download("/b", bench.local("b")))
    assert [failure.item.name for failure in summary.failures] == ["a"]
    assert isinstance(summary.failures[0].error, errors.RemoteNotFound)
    assert (summary.done, summary.error, summary.verdict) == (1, None, None)
    assert [event.item.name for event in bench.heard(FileFailed)] == ["a"]


def test_the_failure_of_the_only_file_is_the_verdict(bench: Bench) -> None:
    assert isinstance(bench.get("/a", "a").verdict, errors.RemoteNotFound)


def test_a_busy_file_is_tried_again_over_the_same_connection(bench: Bench) -> None:
    bench.server.put("/a", b"a")
    bench.server.refuse("open_reader", "/a", errors.RemoteBusy("busy", 450, ""), errors.RemoteBusy("busy", 450, ""))
    assert bench.get("/a", "a").is_clean
    assert bench.server.count("dial") == 1


def test_a_file_that_stays_busy_fails_alone_while_others_move(bench: Bench) -> None:
    bench.server.put("/a", b"a")
    bench.server.refuse("open_reader", "/a", *[errors.RemoteBusy("busy", 450, "")] * 100)
    waits: list[float] = []

    def wait(event: threading.Event, seconds: float) -> bool:
        waits.append(seconds)
        with_progress.progressed()
        return event.is_set()

    from homeport.client.job import Job, Surroundings
    from homeport.client.options import TransferOptions
    from homeport.client.pool import Pool
    from homeport.client.retry import RetryPolicy
    from homeport.client.upload_state import UploadStates
    from homeport.client.worker import Worker

    around = Surroundings(clock=lambda: bench.now, wait=wait, random=lambda: 0.0)
    job = Job(RetryPolicy(attempts=4), bench.events.append, around)
    with_progress = job._backoff
    job.feed([download("/a", bench.local("a"))])
    Worker(job, Pool(bench.server.dial), TransferOptions(), UploadStates(None), "").run()
    assert [str(failure.error) for failure in job.summary().failures] == ["busy"]
    assert job.summary().error is None
    assert len(waits) == 4


def test_a_server_that_takes_fewer_connections_than_wanted(bench: Bench) -> None:
    bench.jobs, bench.server.max_connections = 8, 2
    for number in range(60):
        bench.server.put(f"/f{number}", b"x" * 40)
    summary = bench.run(*(download(f"/f{number}", bench.local(f"f{number}")) for number in range(60)))
    assert (summary.done, summary.is_clean) == (60, True)


def test_a_worker_without_connection_leaves_its_item_to_the_others(bench: Bench) -> None:
    bench.jobs = 2
    bench.server.put("/a", b"a")
    bench.server.put("/b", b"b")
    second = threading.Event()
    dial = bench.server.dial

    def one_only() -> FakeRemote:
        if bench.server.remotes:
            second.set()
            raise ConnectionFailed("only one")
        return dial()

    def before(operation: str, _path: str) -> None:
        if operation == "open_reader":
            bench.server.before = lambda _operation, _path: None
            assert second.wait(20)

    bench.server.before = before
    engine = bench.engine()
    engine._pool._dial = one_only
    summary = engine.run([download("/a", bench.local("a")), download("/b", bench.local("b"))])
    assert (summary.done, summary.is_clean) == (2, True)
    assert [event.text for event in bench.heard(Notice)] == ["going on with fewer connections: only one"]


def test_an_item_left_to_a_worker_that_was_just_going_is_not_lost(bench: Bench) -> None:
    bench.server.put("/a", b"a")
    engine = bench.engine()

    def scan() -> Iterator[Item]:
        yield from ()
        job = engine._job
        assert job is not None
        job.connected()  # by the time that somebody leaves it an item, this worker has looked for the last time
        assert job.leave_to_others(download("/a", bench.local("a")))

    assert engine.run(scan()).done == 1


def test_stop_interrupts_and_keeps_what_was_won(bench: Bench) -> None:
    data = b"y" * 3_000_000
    bench.server.block = 100_000
    bench.server.put("/a", data)
    engine = bench.engine()

    def before(operation: str, _path: str) -> None:
        if operation == "read" and bench.server.moved >= 1_500_000:
            engine.stop()

    bench.server.before = before
    summary = engine.run([download("/a", bench.local("a")), download("/b", bench.local("b"))])
    assert summary.stopped
    assert not summary.is_clean
    assert summary.error is None
    assert names(bench.folder) == [".a.homeport-part", ".a.homeport-part.json"]
    assert engine.run([download("/a", bench.local("a"))]).stopped  # it stays stopped
    bench.server.before = lambda _operation, _path: None
    engine.allow()
    summary = engine.run([download("/a", bench.local("a"))])
    assert summary.is_clean
    assert summary.bytes < 1_600_000
    assert bench.local("a").read_bytes() == data


def test_ctrl_c_saves_everything_and_is_raised(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.server.put("/a", b"y" * 1000)
    engine = bench.engine()
    began, interrupting = threading.Event(), threading.Event()

    def before(operation: str, _path: str) -> None:
        if operation == "read":
            began.set()
            assert interrupting.wait(20)

    def interrupted(_threads: object) -> None:
        assert began.wait(20)
        interrupting.set()
        monkeypatch.undo()
        raise KeyboardInterrupt

    bench.server.before = before
    monkeypatch.setattr("homeport.client.engine._join_any", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.run([download("/a", bench.local("a"))])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("transfer-")]


def test_a_mistake_in_the_program_is_raised_where_the_job_was_started(bench: Bench) -> None:
    def broken() -> Iterator[Item]:
        yield download("/a", bench.local("a"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.engine().run(broken())


def test_a_scan_that_fails_ends_the_job(bench: Bench) -> None:
    def scan() -> Iterator[Item]:
        yield download("/a", bench.local("a"))
        raise errors.LocalFailed("the disk is gone")

    bench.server.put("/a", b"a")
    summary = bench.engine().run(scan())
    assert (str(summary.error), summary.done) == ("the disk is gone", 1)


def test_phases_that_cannot_be_put_together_end_the_job(bench: Bench) -> None:
    def phases() -> Iterator[Phase]:
        yield Phase([])
        raise errors.SafetyRefused("a link leads out")

    assert str(bench.engine().run_phases(phases()).error) == "a link leads out"


def test_a_phase_that_needs_a_clean_one_before_is_left_out_after_a_failure(bench: Bench) -> None:
    bench.server.put("/b", b"b")
    removal = Item(deed=Deed.REMOVE_FILE, name="b", local=bench.local("b"), remote="/b")
    summary = bench.engine().run_phases([Phase([download("/a", bench.local("a"))]), Phase([removal], True)])
    assert "/b" in bench.server.files
    assert len(summary.failures) == 1
    assert [event.text for event in bench.heard(Notice)] == [
        "something has failed, so what was to come after it is left out"
    ]


def test_a_phase_after_the_end_is_not_begun(bench: Bench) -> None:
    bench.server.dial_refusals.append(errors.LoginFailed("no"))
    one = download("/a", bench.local("a"))
    assert isinstance(bench.engine().run_phases([Phase([one]), Phase([one])]).error, errors.LoginFailed)
    assert bench.server.count("dial") == 1


# --- attempt and borrow ---


def test_attempt_tries_again(bench: Bench) -> None:
    bench.server.refuse("stat", "/", ConnectionFailed("one"), ConnectionFailed("two"))
    with bench.engine() as engine:
        assert engine.attempt(lambda remote: remote.stat("/")).is_directory
    assert bench.server.count("dial") == 3
    assert [str(event.error) for event in bench.heard(Retrying)] == ["one", "two"]


def test_attempt_gives_up(bench: Bench) -> None:
    bench.server.refuse("stat", "/", *[ConnectionFailed("gone")] * 4)
    with bench.engine() as engine, pytest.raises(ConnectionFailed, match="gone"):
        engine.attempt(lambda remote: remote.stat("/"))


def test_attempt_ends_with_a_stop(bench: Bench) -> None:
    engine = bench.engine()
    bench.server.refuse("stat", "/", ConnectionFailed("gone"))

    def wait(event: threading.Event, _seconds: float) -> bool:
        engine.stop()
        return event.is_set()

    engine._around = replace(engine._around, wait=wait)
    with pytest.raises(ConnectionFailed, match="gone"):
        engine.attempt(lambda remote: remote.stat("/"))


def test_a_closed_connection_is_not_lent_again(bench: Bench) -> None:
    with bench.engine() as engine:
        with engine.borrow() as remote:
            pass
        assert isinstance(remote, FakeRemote)
        remote.drop()
        with engine.borrow() as another:
            assert another is not remote


# --- late answers ---


def test_a_time_that_the_server_refuses_is_told_and_harms_nothing(bench: Bench) -> None:
    bench.server.refuse("set_mtime", "/a", errors.PermissionRefused("cannot set the time", 550, "no"))
    assert bench.put("a", "/a", b"a").is_clean
    assert [event.text for event in bench.heard(Notice)] == ["the modification time was not kept: cannot set the time"]


def test_a_time_whose_answer_was_lost_is_asked_for_again(bench: Bench) -> None:
    bench.server.abilities = PLAIN
    bench.server.refuse("set_mtime", "/a", ConnectionFailed("gone"))
    bench.server.refuse("open_writer", "*", *[])
    first = bench.local("a", b"a")

    def before(operation: str, path: str) -> None:
        if operation == "stat" and path == "/b":  # the answer comes before the next file
            remote = bench.server.remotes[-1]
            bench.server.before = lambda _operation, _path: None
            late, remote.late = remote.late, []
            for answer in late:
                answer()

    bench.server.before = before
    assert bench.run(upload(first, "/a"), upload(bench.local("b", b"b"), "/b")).is_clean
    assert bench.server.files["/a"].mtime == pytest.approx(first.stat().st_mtime)
    assert bench.server.count("dial") == 2


def test_a_connection_lost_at_the_very_end_is_told(bench: Bench) -> None:
    bench.server.refuse("settle", "", ConnectionFailed("gone"))
    bench.server.refuse("set_mtime", "/a", ConnectionFailed("gone"))
    assert bench.put("a", "/a", b"a").is_clean
    assert [event.text for event in bench.heard(Notice)] == [
        "/a: the connection was lost before the server could say that it kept the time"
    ]


# --- deeds of one command ---


def item(deed: Deed, bench: Bench, remote: str = "/d", name: str = "d", side: Side = Side.REMOTE) -> Item:
    return Item(deed=deed, name=name, local=bench.local(name), remote=remote, side=side)


def test_folders_over_there(bench: Bench) -> None:
    assert bench.run(item(Deed.MAKE_FOLDER, bench)).done == 1
    assert "/d" in bench.server.folders
    assert bench.run(item(Deed.MAKE_FOLDER, bench)).is_clean  # it is there: fine
    assert bench.run(item(Deed.REMOVE_FOLDER, bench)).is_clean
    assert bench.run(item(Deed.REMOVE_FOLDER, bench)).already_complete == 1


def test_a_folder_where_a_file_is(bench: Bench) -> None:
    bench.server.put("/d", b"file")
    assert isinstance(bench.run(item(Deed.MAKE_FOLDER, bench)).verdict, errors.RemoteExists)
    assert isinstance(bench.run(item(Deed.MAKE_FOLDER, bench, "/x/y")).verdict, errors.RemoteNotFound)


def test_files_over_there(bench: Bench) -> None:
    bench.server.put("/d", b"file")
    assert bench.run(item(Deed.REMOVE_FILE, bench)).already_complete == 0
    assert bench.run(item(Deed.REMOVE_FILE, bench)).already_complete == 1


def test_folders_and_files_here(bench: Bench) -> None:
    assert bench.run(item(Deed.MAKE_FOLDER, bench, side=Side.LOCAL)).is_clean
    assert bench.local("d").is_dir()
    assert isinstance(bench.run(item(Deed.REMOVE_FILE, bench, side=Side.LOCAL)).verdict, errors.LocalFailed)
    assert bench.run(item(Deed.REMOVE_FOLDER, bench, side=Side.LOCAL)).already_complete == 0
    assert bench.run(item(Deed.REMOVE_FOLDER, bench, side=Side.LOCAL)).already_complete == 1


def test_compare(bench: Bench) -> None:
    bench.server.put("/d", b"same")
    bench.local("d", b"same")
    assert bench.run(item(Deed.COMPARE, bench)).already_complete == 1
    bench.local("d", b"diff")
    assert bench.run(item(Deed.COMPARE, bench)).already_complete == 0
    assert isinstance(bench.run(item(Deed.COMPARE, bench, name="none")).verdict, errors.LocalFailed)
    bench.server.abilities = PLAIN
    assert isinstance(bench.run(item(Deed.COMPARE, bench)).verdict, errors.Incompatible)


def test_an_endless_listing_is_cut_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.client.deeds.MAX_LISTING", 2)
    bench.server.extra_entries["/"] = [RemoteEntry(str(number), Kind.FILE) for number in range(3)]
    assert str(bench.run(item(Deed.LIST, bench, "/")).verdict) == (
        "/ has more than 2 entries; that is no folder to copy"
    )
    bench.server.extra_entries["/"].pop()
    assert bench.run(item(Deed.LIST, bench, "/")).is_clean


def test_items_name_themselves() -> None:
    entry = RemoteEntry("b", Kind.FILE, 7)
    assert download("/a/b", Path("x"), known=Known(entry)).size == 7
    assert download("/a/b", Path("x"), known=Known(None)).size is None
    assert download("/a/b", Path("x")).name == "b"
    assert upload(Path("x/y"), "/z").name == "y"
    assert upload(Path("x/y"), "/z", name="n").name == "n"


def test_summaries_of_several_failures_have_no_single_verdict() -> None:
    one = Failure(download("/a", Path("a")), ClientError("no"))
    assert Summary(0, 0, 0, 0.0, (one, one)).verdict is None
