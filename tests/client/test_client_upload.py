from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.client.engines import Bench, names
from tests.client.fake_remote import BARE, HASHING, OURS, PLAIN, FakeFile

from homeport.client import errors
from homeport.client.errors import ConnectionFailed, LocalFailed
from homeport.client.events import FileDone, FileStarted, Notice, Restarted
from homeport.client.items import Known, upload
from homeport.client.remote import Abilities, Kind, RemoteEntry
from homeport.client.upload_state import UploadState, UploadStates

MIB = 1024 * 1024
DATA = os.urandom(3 * MIB)
PART = "/.a.homeport-part"
KINDS = pytest.mark.parametrize(
    "abilities",
    [OURS, replace(OURS, tells_partial_uploads=False), HASHING, PLAIN, BARE],
    ids=["ours", "ours of old", "hashing", "plain", "bare"],
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    folder = tmp_path / "files"
    folder.mkdir()
    bench = Bench(folder, attempts=1, state_folder=tmp_path / "state")
    bench.server.block = 64 * 1024
    os.utime(bench.local("a", DATA), (1_500_000_000, 1_500_000_000))
    return bench


def put(bench: Bench) -> None:
    assert bench.put("a", "/a").is_clean


def cut_at(bench: Bench, amount: int) -> None:
    bench.server.cuts.append(amount)
    assert isinstance(bench.put("a", "/a").error, ConnectionFailed)
    bench.events.clear()
    bench.server.moved = 0
    bench.server.log.clear()


def is_right(bench: Bench) -> bool:
    assert bench.state_folder is not None
    rest = names(bench.state_folder) if bench.state_folder.exists() else []
    return (
        bench.server.files["/a"].data == bench.local("a").read_bytes() and rest == [] and PART not in bench.server.files
    )


@KINDS
def test_a_whole_file(bench: Bench, abilities: Abilities) -> None:
    bench.server.abilities = abilities
    put(bench)
    assert is_right(bench)
    assert bench.server.files["/a"].mtime == (1_500_000_000 if abilities.set_mtime else 2_000_000_000)
    assert bench.heard(FileDone)[0].verified == ("SHA-256" if abilities.digests else None)


@KINDS
def test_an_empty_file(bench: Bench, abilities: Abilities) -> None:
    bench.server.abilities = abilities
    bench.local("a", b"")
    put(bench)
    assert bench.server.files["/a"].data == b""


@KINDS
@pytest.mark.parametrize("amount", range(64 * 1024, 3 * MIB, 320 * 1024), ids=str)
def test_an_interruption_at_any_block_costs_nothing(bench: Bench, abilities: Abilities, amount: int) -> None:
    bench.server.abilities = abilities
    cut_at(bench, amount)
    assert "/a" not in bench.server.files
    put(bench)
    assert is_right(bench)
    assert bench.server.moved == len(DATA) - amount
    assert bench.heard(FileStarted)[0].offset == amount


@KINDS
def test_a_file_of_several_pieces_goes_on(bench: Bench, abilities: Abilities) -> None:
    bench.server.abilities = abilities
    bench.local("a", DATA[: 700 * 1024])
    cut_at(bench, 512 * 1024)
    put(bench)
    assert bench.server.files["/a"].data == DATA[: 700 * 1024]
    assert bench.server.moved == 188 * 1024


@pytest.mark.parametrize("abilities", [OURS, HASHING, PLAIN], ids=["ours", "hashing", "plain"])
def test_an_old_file_stays_whole_until_the_new_one_is(bench: Bench, abilities: Abilities) -> None:
    bench.server.abilities = abilities
    bench.server.put("/a", b"old")
    cut_at(bench, MIB)
    assert bench.server.files["/a"].data == b"old"
    put(bench)
    assert is_right(bench)
    assert bench.server.moved == 2 * MIB


def test_without_a_word_about_the_part_an_old_file_is_not_taken_for_it(bench: Bench) -> None:
    bench.server.abilities = replace(OURS, tells_partial_uploads=False)
    bench.server.put("/a", b"old")
    cut_at(bench, MIB)
    put(bench)
    assert bench.server.moved == len(DATA)


def test_another_process_goes_on(bench: Bench) -> None:
    cut_at(bench, MIB)
    another = Bench(bench.folder, bench.server, state_folder=bench.state_folder)
    assert another.put("a", "/a").is_clean
    assert bench.server.moved == 2 * MIB


def test_states_without_a_folder_live_as_long_as_the_engine(bench: Bench) -> None:
    bench.state_folder, bench.attempts = None, 3
    bench.server.cuts.append(MIB)
    put(bench)
    assert bench.server.moved == len(DATA)


def test_only_what_this_client_began_is_resumed(bench: Bench) -> None:
    bench.server.abilities = PLAIN
    bench.server.put(PART, DATA[:MIB])
    put(bench)
    assert bench.server.moved == len(DATA)


def test_a_file_that_changed_since_begins_again(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.local("a", os.urandom(3 * MIB))
    put(bench)
    assert is_right(bench)
    assert bench.server.moved == len(DATA)


def test_without_resume_it_begins_again(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.resume = False
    put(bench)
    assert bench.server.moved == len(DATA)


def test_a_server_that_cannot_resume(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.server.abilities = replace(OURS, resume_upload=False)
    put(bench)
    assert bench.server.moved == len(DATA)


def test_a_beginning_that_differs_is_found_out_by_its_digest(bench: Bench) -> None:
    bench.server.abilities = HASHING
    cut_at(bench, MIB)
    bench.server.files[PART].data = b"\0" * MIB
    put(bench)
    assert is_right(bench)
    assert [event.reason for event in bench.heard(Restarted)] == [
        "what the server holds is not the beginning of this file"
    ]


def test_a_beginning_that_cannot_be_compared_is_judged_with_the_whole(bench: Bench) -> None:
    bench.server.abilities = HASHING
    cut_at(bench, MIB)
    bench.server.refuse("digest", PART, errors.ServerRefused("no", 502, ""))
    put(bench)
    assert bench.server.moved == 2 * MIB


def test_a_beginning_that_our_server_refuses_at_the_end_is_sent_again_once(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.server.partials["/a"] = b"\0" * MIB
    put(bench)
    assert is_right(bench)
    assert [event.offset for event in bench.heard(FileStarted)] == [MIB, 0]
    assert bench.heard(Restarted)[0].reason == "not as announced"


def test_a_server_that_takes_no_offset_after_all(bench: Bench) -> None:
    bench.server.abilities = PLAIN
    cut_at(bench, MIB)
    bench.server.refuse("open_writer", PART, errors.Incompatible("no REST"))
    bench.attempts = 3

    def before(operation: str, _path: str) -> None:
        for remote in bench.server.remotes[-1:]:
            remote.is_open = True  # a refusal leaves the connection open

    bench.server.before = before
    put(bench)
    assert is_right(bench)


def test_everything_had_arrived_but_the_name(bench: Bench) -> None:
    bench.server.abilities = PLAIN
    bench.server.refuse("move", "/a", ConnectionFailed("gone"))
    assert not bench.put("a", "/a").is_clean
    bench.server.moved = 0
    put(bench)
    assert is_right(bench)
    assert bench.server.moved == 0


# --- what is there already ---


def test_a_complete_target_needs_nothing(bench: Bench) -> None:
    put(bench)
    assert bench.put("a", "/a").already_complete == 1
    assert bench.server.count("open_writer") == 1


def test_a_listing_saves_the_question(bench: Bench) -> None:
    known = Known(RemoteEntry("a", Kind.FILE, len(DATA), 1_500_000_000.4))
    assert bench.run(upload(bench.local("a"), "/a", known=known)).already_complete == 1
    assert bench.run(upload(bench.local("a"), "/a", known=Known(None))).already_complete == 0
    assert bench.server.count("stat") == 0


@pytest.mark.parametrize(
    "file",
    [FakeFile(DATA, 1_500_000_002), FakeFile(DATA[1:], 1_500_000_000), FakeFile(DATA, None)],
    ids=["time", "size", "?"],
)
def test_a_target_that_differs_is_replaced(bench: Bench, file: FakeFile) -> None:
    bench.server.files["/a"] = file
    assert bench.put("a", "/a").already_complete == 0
    assert is_right(bench)


def test_where_no_times_are_kept_none_proves_anything(bench: Bench) -> None:
    bench.server.abilities = BARE
    bench.server.files["/a"] = FakeFile(DATA, 1_500_000_000)
    assert bench.put("a", "/a").already_complete == 0


def test_a_folder_in_the_targets_place_is_left_alone(bench: Bench) -> None:
    bench.server.folders.add("/a")
    assert str(bench.put("a", "/a").verdict) == "/a is a folder on the server; a file does not replace it"


def test_a_server_that_does_not_rename_over_a_file(bench: Bench) -> None:
    bench.server.abilities = PLAIN
    bench.server.put("/a", b"old")
    bench.server.refuse("move", "/a", errors.RemoteExists("exists", 553, "exists"))
    put(bench)
    assert is_right(bench)


# --- lies ---


def test_a_digest_that_differs_is_a_mismatch(bench: Bench) -> None:
    bench.server.abilities = replace(OURS, checks_uploads=False)
    bench.server.false_digest = "0" * 64
    verdict = bench.put("a", "/a").verdict
    assert isinstance(verdict, errors.IntegrityMismatch)
    assert verdict.actual == "0" * 64
    assert "the server has not got what was sent" in str(verdict)


def test_a_server_that_checks_keeps_the_old_file(bench: Bench) -> None:
    bench.server.put("/a", b"old")
    bench.server.false_digest = "0" * 64
    assert isinstance(bench.put("a", "/a").verdict, errors.IntegrityMismatch)
    assert bench.server.files["/a"].data == b"old"


def test_a_mismatch_elsewhere_leaves_the_old_file(bench: Bench) -> None:
    bench.server.abilities = HASHING
    bench.server.put("/a", b"old")
    bench.server.false_digest = "0" * 64
    assert isinstance(bench.put("a", "/a").verdict, errors.IntegrityMismatch)
    assert bench.server.files["/a"].data == b"old"


def test_a_size_that_differs_is_a_mismatch(bench: Bench) -> None:
    bench.server.abilities = PLAIN

    def before(operation: str, path: str) -> None:
        if operation == "partial_size":
            bench.server.files[path].data = b"short"

    bench.server.before = before
    verdict = bench.put("a", "/a").verdict
    assert isinstance(verdict, errors.IntegrityMismatch)
    assert (verdict.expected, verdict.actual) == (f"{len(DATA)} bytes", "5 bytes")


def test_a_digest_that_the_server_will_not_tell_is_said_and_the_size_decides(bench: Bench) -> None:
    bench.server.abilities = HASHING
    bench.server.refuse("digest", PART, errors.PermissionRefused("cannot tell", 550, ""))
    put(bench)
    assert [event.text for event in bench.heard(Notice)] == ["not compared: cannot tell"]
    assert bench.heard(FileDone)[0].verified is None


def test_without_verify_no_digest_is_asked(bench: Bench) -> None:
    bench.verify = False
    put(bench)
    assert bench.server.count("digest") == 0
    assert bench.heard(FileDone)[0].verified is None


# --- this machine ---


def test_a_file_that_is_not_there_or_no_file(bench: Bench) -> None:
    assert str(bench.put("none", "/a").verdict) == f"{bench.local('none')} cannot be read: No such file or directory"
    bench.local("d").mkdir()
    assert str(bench.put("d", "/a").verdict) == f"{bench.local('d')} is no ordinary file"
    os.mkfifo(bench.local("p"))
    assert str(bench.put("p", "/a").verdict) == f"{bench.local('p')} is no ordinary file"


@pytest.mark.parametrize("size", [0, 2 * MIB, 4 * MIB], ids=["empty", "shorter", "longer"])
@pytest.mark.parametrize("abilities", [OURS, PLAIN], ids=["ours", "plain"])
def test_a_file_that_changes_while_it_is_sent_is_not_finished(bench: Bench, abilities: Abilities, size: int) -> None:
    def before(operation: str, _path: str) -> None:
        if operation == "open_writer":
            bench.local("a", b"x" * size)

    bench.server.abilities = abilities
    bench.server.before = before
    bench.server.put("/a", b"old")
    assert "was changed while it was sent; nothing was stored. Try again" in str(bench.put("a", "/a").verdict)
    assert bench.server.files["/a"].data == b"old"


def test_a_file_that_gets_shorter_while_it_is_hashed(bench: Bench) -> None:
    def before(operation: str, _path: str) -> None:
        if operation == "stat":
            bench.local("a", b"x")

    bench.server.before = before
    assert "got shorter while it was read; try again" in str(bench.put("a", "/a").verdict)


def test_a_state_folder_that_cannot_be_written(bench: Bench, tmp_path: Path) -> None:
    bench.state_folder = tmp_path / "files" / "a"  # a file
    verdict = bench.put("a", "/a").verdict
    assert isinstance(verdict, LocalFailed)
    assert "the state of an upload cannot be kept" in str(verdict)


# --- states ---

STATE = UploadState("ftp://a@h", "/中文", "/home/a/\udcff", 5, 7)


@pytest.mark.parametrize("kept", ["folder", "memory"])
def test_a_state_is_known_until_it_ends(tmp_path: Path, kept: str) -> None:
    states = UploadStates(tmp_path / "deep" / "states" if kept == "folder" else None)
    assert not states.is_under_way(STATE)
    states.begin(STATE)
    assert states.is_under_way(STATE)
    assert not states.is_under_way(replace(STATE, mtime_ns=8))
    assert not states.is_under_way(replace(STATE, remote="/b"))
    states.end(STATE)
    states.end(STATE)
    assert not states.is_under_way(STATE)


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"size": 5})])
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    states = UploadStates(tmp_path)
    states.begin(STATE)
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert not states.is_under_way(STATE)
