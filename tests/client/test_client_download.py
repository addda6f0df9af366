from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.client.engines import Bench, names
from tests.client.fake_remote import BARE, HASHING, OURS, PLAIN, FakeFile

from homeport.client import errors
from homeport.client.errors import ConnectionFailed
from homeport.client.events import FileDone, FileStarted, Notice, Restarted
from homeport.client.items import Known, download
from homeport.client.partial import is_part_name, part_name
from homeport.client.remote import Abilities, Kind, RemoteEntry

MIB = 1024 * 1024
DATA = os.urandom(3 * MIB)
PART, SIDE = ".a.homeport-part", ".a.homeport-part.json"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, attempts=1)
    bench.server.block = 64 * 1024
    bench.server.put("/a", DATA)
    return bench


def cut_at(bench: Bench, amount: int) -> None:
    """A first try that breaks off after `amount` bytes."""
    bench.server.cuts.append(amount)
    assert isinstance(bench.get("/a", "a").error, ConnectionFailed)
    bench.events.clear()
    bench.server.moved = 0
    bench.server.log.clear()


def is_right(bench: Bench) -> bool:
    return bench.local("a").read_bytes() == bench.server.files["/a"].data and names(bench.folder) == ["a"]


@pytest.mark.parametrize("abilities", [OURS, HASHING, PLAIN, BARE], ids=["ours", "hashing", "plain", "bare"])
def test_a_whole_file(bench: Bench, abilities: Abilities) -> None:
    bench.server.abilities = abilities
    summary = bench.get("/a", "a")
    assert summary.is_clean
    assert is_right(bench)
    assert bench.local("a").stat().st_mtime == 1_000_000_000
    assert bench.heard(FileDone)[0].verified == ("SHA-256" if abilities.digests else None)


def test_an_empty_file(bench: Bench) -> None:
    bench.server.put("/a", b"")
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)


def test_a_file_of_which_the_server_tells_nothing(bench: Bench) -> None:
    bench.server.abilities = BARE
    bench.server.files["/a"].mtime = None
    bench.server.listed_sizes["/a"] = None
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)


@pytest.mark.parametrize("amount", range(0, 16 * 64 * 1024, 64 * 1024), ids=str)
@pytest.mark.parametrize("abilities", [OURS, PLAIN], ids=["ours", "plain"])
def test_an_interruption_at_any_block_costs_nothing(bench: Bench, abilities: Abilities, amount: int) -> None:
    bench.server.abilities = abilities
    cut_at(bench, amount)
    assert names(bench.folder) == [PART, SIDE]
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)
    assert bench.server.moved == len(DATA) - amount
    assert bench.heard(FileStarted)[0].offset == amount


def test_a_file_of_several_pieces_goes_on(bench: Bench) -> None:
    """A server may send dozens of them in turn: all would be half here after a cut, and come twice."""
    bench.server.put("/a", DATA[: 700 * 1024])
    cut_at(bench, 512 * 1024)
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)
    assert bench.server.moved == 188 * 1024


def test_small_files_begin_again_without_a_question(bench: Bench) -> None:
    bench.server.put("/a", b"small" * 100)
    bench.server.block = 10
    cut_at(bench, 200)
    assert names(bench.folder) == [PART]
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)
    assert bench.server.moved == 500


def test_without_resume_it_begins_again(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.resume = False
    assert bench.get("/a", "a").is_clean
    assert bench.server.moved == len(DATA)


def test_a_server_that_cannot_resume(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.server.abilities = replace(OURS, resume_download=False)
    assert bench.get("/a", "a").is_clean
    assert bench.server.moved == len(DATA)


def test_only_the_last_step_was_missing(bench: Bench) -> None:
    bench.server.refuse("finish_read", "/a", ConnectionFailed("gone"))
    assert not bench.get("/a", "a").is_clean
    bench.server.moved = 0
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)
    assert bench.server.moved == 0


# --- what is there already ---


def test_a_complete_target_needs_nothing(bench: Bench) -> None:
    assert bench.get("/a", "a").is_clean
    summary = bench.get("/a", "a")
    assert (summary.already_complete, summary.bytes) == (1, 0)
    assert bench.server.count("open_reader") == 1


@pytest.mark.parametrize(("size", "mtime"), [(len(DATA) - 1, 1e9), (len(DATA), 1e9 - 2)], ids=["size", "time"])
def test_a_target_that_differs_is_replaced(bench: Bench, size: int, mtime: float) -> None:
    os.utime(bench.local("a", b"x" * size), (mtime, mtime))
    assert bench.get("/a", "a").already_complete == 0
    assert is_right(bench)


def test_a_target_of_which_nothing_can_be_told_is_replaced(bench: Bench) -> None:
    bench.server.files["/a"].mtime = None
    bench.local("a", DATA)
    assert bench.get("/a", "a").already_complete == 0


def test_a_link_in_the_targets_place_is_replaced_not_followed(bench: Bench, tmp_path: Path) -> None:
    precious = tmp_path.parent / f"{tmp_path.name}-precious"
    precious.write_bytes(b"precious")
    bench.local("a").symlink_to(precious)
    assert bench.get("/a", "a").is_clean
    assert precious.read_bytes() == b"precious"
    assert not bench.local("a").is_symlink()


def test_a_folder_in_the_targets_place_is_left_alone(bench: Bench) -> None:
    bench.local("a").mkdir()
    assert str(bench.get("/a", "a").verdict) == f"{bench.local('a')} is a folder here; a file does not replace it"


def test_a_folder_on_the_server_is_no_file(bench: Bench) -> None:
    bench.server.folders.add("/d")
    assert str(bench.get("/d", "d").verdict) == "/d is a folder on the server, not a file"


def test_a_target_whose_folder_is_not_there(bench: Bench) -> None:
    assert isinstance(bench.get("/a", "none/a").verdict, errors.LocalFailed)
    bench.local("file", b"")
    assert isinstance(bench.get("/a", "file/a").verdict, errors.LocalFailed)


# --- replaced meanwhile ---


def test_a_file_replaced_between_two_parts_begins_again(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.server.put("/a", os.urandom(2 * MIB), mtime=1_000_000_500.0)
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)


def test_a_file_replaced_with_size_and_time_kept_is_found_out_by_its_digest(bench: Bench) -> None:
    bench.server.abilities = HASHING
    cut_at(bench, MIB)
    bench.server.put("/a", os.urandom(len(DATA)))
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)
    assert [event.reason for event in bench.heard(Restarted)] == ["what is here is not the beginning of it"]


def test_a_prefix_that_rotted_here_is_found_out(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.local(PART).write_bytes(b"\0" * MIB)
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)


def test_a_prefix_that_nobody_can_prove_is_not_used(bench: Bench) -> None:
    bench.server.abilities = BARE
    bench.server.files["/a"].mtime = None
    cut_at(bench, MIB)
    assert bench.get("/a", "a").is_clean
    assert bench.server.moved == len(DATA)
    assert bench.heard(Restarted)[0].reason.startswith("the server tells neither time nor digest")


def test_a_refused_digest_of_the_prefix_leaves_it_to_the_whole(bench: Bench) -> None:
    cut_at(bench, MIB)
    bench.server.refuse("digest", "/a", errors.ServerRefused("no", 502, "no"))
    assert bench.get("/a", "a").is_clean
    assert bench.server.moved == len(DATA) - MIB


def test_a_listing_that_is_old_by_now_is_looked_at_again(bench: Bench) -> None:
    bench.attempts = 3
    known = Known(RemoteEntry("a", Kind.FILE, MIB, 5.0))
    summary = bench.run(download("/a", bench.local("a"), known=known))
    assert summary.is_clean
    assert is_right(bench)


def replacing(bench: Bench, at: str, data: bytes, mtime: float) -> Callable[[str, str], None]:
    """The file over there is replaced at the first call of the operation `at`."""

    def before(operation: str, _path: str) -> None:
        if operation == at:
            bench.server.before = lambda _operation, _path: None
            bench.server.put("/a", data, mtime)

    return before


@pytest.mark.parametrize(("at", "size"), [("open_reader", MIB), ("read", 3 * MIB)], ids=["shorter", "same size"])
def test_a_file_replaced_while_it_is_fetched_begins_again(bench: Bench, at: str, size: int) -> None:
    bench.server.before = replacing(bench, at, os.urandom(size), 1_000_000_700.0)
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)
    assert [event.reason for event in bench.heard(Restarted)] == ["the file on the server has changed meanwhile"]


def test_a_file_that_never_stands_still(bench: Bench) -> None:
    count = [0]

    def before(operation: str, _path: str) -> None:
        if operation == "open_reader":
            count[0] += 1
            bench.server.put("/a", os.urandom(MIB - count[0]), float(count[0]))

    bench.server.put("/a", os.urandom(2 * MIB))
    bench.server.before = before
    verdict = bench.get("/a", "a").verdict
    assert isinstance(verdict, errors.IntegrityMismatch)
    assert "one that changes while it is fetched" in str(verdict)
    assert not bench.local("a").exists()


# --- lies ---


def test_a_digest_that_differs_leaves_the_target_untouched(bench: Bench) -> None:
    bench.local("a", b"old")
    bench.server.false_digest = "0" * 64
    verdict = bench.get("/a", "a").verdict
    assert isinstance(verdict, errors.IntegrityMismatch)
    assert verdict.expected == f"SHA-256 {'0' * 64}"
    assert "is untouched. Try again." in str(verdict)
    assert bench.local("a").read_bytes() == b"old"
    assert names(bench.folder) == ["a"]


def test_an_endless_file_is_cut_off_at_its_announced_size(bench: Bench) -> None:
    bench.server.listed_sizes["/a"] = MIB
    verdict = bench.get("/a", "a").verdict
    assert isinstance(verdict, errors.IntegrityMismatch)
    assert (verdict.expected, verdict.actual) == (f"{MIB} bytes", f"more than {MIB} bytes")
    assert bench.server.moved <= MIB + bench.server.block
    assert names(bench.folder) == []


def test_a_file_shorter_than_announced(bench: Bench) -> None:
    bench.server.listed_sizes["/a"] = 4 * MIB
    verdict = bench.get("/a", "a").verdict
    assert isinstance(verdict, errors.IntegrityMismatch)
    assert verdict.actual == f"{3 * MIB} bytes"
    assert names(bench.folder) == []


def test_without_verify_no_digest_is_asked(bench: Bench) -> None:
    bench.verify = False
    bench.server.false_digest = "0" * 64
    assert bench.get("/a", "a").is_clean
    assert bench.server.count("digest") == 0
    assert bench.heard(FileDone)[0].verified is None


def test_a_digest_that_the_server_will_not_tell_is_said(bench: Bench) -> None:
    bench.server.abilities = HASHING
    bench.server.refuse("digest", "/a", errors.PermissionRefused("cannot tell", 550, "no"))
    assert bench.get("/a", "a").is_clean
    assert [event.text for event in bench.heard(Notice)] == ["not compared: cannot tell"]


# --- this machine ---


def test_a_disk_without_room_is_found_out_before_a_byte_moves(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.statvfs_result((4096, 4096, 10, 1, 1, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda _fd: full)
    assert isinstance(bench.get("/a", "a").error, errors.NoRoom)
    assert bench.server.moved == 0


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, errors.NoRoom), (errno.EIO, errors.LocalFailed)])
@pytest.mark.parametrize("call", ["write", "ftruncate", "fsync", "replace", "readv"])
def test_what_the_disk_refuses(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str, number: int, kind: type[errors.ClientError]
) -> None:
    if call == "readv":
        cut_at(bench, MIB)

    def fail(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    engine = bench.engine()
    object.__setattr__(engine.options, "fsync", True)
    monkeypatch.setattr(os, call, fail)
    verdict = engine.run([download("/a", bench.local("a"))]).verdict
    monkeypatch.undo()
    assert type(verdict) is kind
    assert str(verdict) == f"{bench.local('a')} cannot be written: {os.strerror(number)}"
    assert not bench.local("a").exists()
    assert bench.get("/a", "a").is_clean  # and it goes on from there


def test_something_odd_in_the_parts_place(bench: Bench) -> None:
    os.mkfifo(bench.local(PART))
    assert str(bench.get("/a", "a").verdict) == f"{bench.local(PART)} is no ordinary file; move it away"
    bench.local(PART).unlink()
    bench.local(PART).symlink_to("/etc/passwd")
    assert isinstance(bench.get("/a", "a").verdict, errors.LocalFailed)


def test_two_downloads_of_one_target(bench: Bench) -> None:
    from homeport.client.partial import Partial, PartSource

    with Partial(bench.local("a"), PartSource("o", "/a", 1, 1.0)):
        verdict = bench.get("/a", "a").verdict
    assert str(verdict) == f"{bench.local('a')} is being downloaded by another process; wait for it or stop it"


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", json.dumps({"size": 1})])
def test_a_side_file_that_says_something_else_is_not_believed(bench: Bench, text: str) -> None:
    bench.local(PART).write_bytes(DATA[:MIB])
    bench.local(SIDE).write_text(text)
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)
    assert bench.server.moved == len(DATA)


def test_a_part_longer_than_the_file_is_not_used(bench: Bench) -> None:
    cut_at(bench, MIB)
    with open(bench.local(PART), "ab") as part:
        part.truncate(len(DATA) + 1)
    assert bench.get("/a", "a").is_clean
    assert is_right(bench)


@pytest.mark.parametrize("name", ["a", "中文", "é" * 127, "x" * 255, "\udcff\udcfe"])
def test_part_names_fit_and_are_known_again(name: str) -> None:
    part = part_name(name)
    assert len(f"{part}.json".encode("utf-8", "surrogateescape")) <= 255
    assert is_part_name(part)
    assert is_part_name(f"{part}.json")
    assert not is_part_name(name)


def test_the_mtime_keeps_its_fraction(bench: Bench) -> None:
    bench.server.files["/a"] = FakeFile(b"x", 1_234_567_890.125)
    assert bench.get("/a", "a").is_clean
    assert bench.local("a").stat().st_mtime == 1_234_567_890.125
