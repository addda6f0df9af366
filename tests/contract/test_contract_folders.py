"""Folders, renames, deletions and times do what POSIX says, and never to the home itself."""

from __future__ import annotations

import hashlib
import time

import pytest
from tests.contract.subject import HomeUnderTest, Kind, refused


def test_a_new_home_is_empty(ann: HomeUnderTest) -> None:
    assert ann.list("/") == []
    assert ann.stat("/").is_folder


def test_a_folder_is_made_listed_and_removed(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    assert ann.list("/") == ["folder"]
    assert ann.stat("/folder").is_folder
    assert ann.list("/folder") == []
    ann.rmdir("/folder")
    assert ann.list("/") == []


def test_hidden_names_are_listed(ann: HomeUnderTest) -> None:
    ann.put("/.hidden", b"")
    assert ann.list("/") == [".hidden"]


def test_a_large_folder_is_listed_whole(ann: HomeUnderTest) -> None:
    names = [f"file-{number:03}" for number in range(120)]
    for name in names:
        ann.put(f"/{name}", b"")
    assert sorted(ann.list("/")) == names


@pytest.mark.parametrize("there", ["/folder", "/file"])
def test_a_folder_where_something_is_is_refused(ann: HomeUnderTest, there: str) -> None:
    ann.mkdir("/folder")
    ann.put("/file", b"content")
    with refused(Kind.EXISTS):
        ann.mkdir(there)
    assert ann.get("/file") == b"content"


def test_a_folder_in_nothing_is_refused(ann: HomeUnderTest) -> None:
    with refused(Kind.NOT_FOUND):
        ann.mkdir("/missing/folder")


def test_a_folder_in_a_file_is_refused(ann: HomeUnderTest) -> None:
    ann.put("/file", b"")
    with refused(Kind.NOT_A_DIRECTORY):
        ann.mkdir("/file/folder")


def test_a_folder_that_holds_something_stays(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    ann.put("/folder/file", b"content")
    with refused(Kind.NOT_EMPTY):
        ann.rmdir("/folder")
    assert ann.get("/folder/file") == b"content"


def test_a_file_is_not_removed_as_a_folder_nor_a_folder_as_a_file(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    ann.put("/file", b"")
    with refused(Kind.NOT_A_DIRECTORY):
        ann.rmdir("/file")
    with refused(Kind.IS_A_DIRECTORY):
        ann.remove("/folder")
    assert sorted(ann.list("/")) == ["file", "folder"]


@pytest.mark.parametrize("path", ["/missing", "/missing/too"])
def test_what_is_not_there_cannot_be_removed_or_listed(ann: HomeUnderTest, path: str) -> None:
    for deed in (ann.remove, ann.rmdir, ann.list, ann.stat, ann.digest):
        with refused(Kind.NOT_FOUND):
            deed(path)


def test_a_file_is_removed(ann: HomeUnderTest) -> None:
    ann.put("/file", b"content")
    ann.remove("/file")
    with refused(Kind.NOT_FOUND):
        ann.get("/file")


@pytest.mark.parametrize("path", ["/", "/..", "/.", "//", "/folder/.."])
def test_the_home_itself_stays(ann: HomeUnderTest, path: str) -> None:
    ann.mkdir("/folder")
    with refused(Kind.ROOT):
        ann.rmdir(path)
    with refused(Kind.ROOT, Kind.IS_A_DIRECTORY):
        ann.remove(path)
    with refused(Kind.ROOT):
        ann.rename(path, "/other")
    with refused(Kind.ROOT, Kind.NOT_EMPTY, Kind.EXISTS):
        ann.rename("/folder", path)
    with refused(Kind.ROOT, Kind.EXISTS):
        ann.mkdir(path)
    assert ann.list("/") == ["folder"]


def test_a_file_is_renamed(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    ann.put("/file", b"content")
    ann.rename("/file", "/folder/other")
    assert ann.list("/") == ["folder"]
    assert ann.get("/folder/other") == b"content"
    assert ann.digest("/folder/other") == hashlib.sha256(b"content").hexdigest()


def test_a_folder_is_renamed_with_what_it_holds(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    ann.put("/folder/file", b"content")
    ann.rename("/folder", "/other")
    assert ann.list("/") == ["other"]
    assert ann.get("/other/file") == b"content"


def test_a_rename_replaces_a_file(ann: HomeUnderTest) -> None:
    ann.put("/file", b"new")
    ann.put("/other", b"old")
    ann.rename("/file", "/other")
    assert ann.list("/") == ["other"]
    assert ann.get("/other") == b"new"


def test_a_rename_never_replaces_a_folder_that_holds_something(ann: HomeUnderTest) -> None:
    ann.mkdir("/one")
    ann.mkdir("/two")
    ann.put("/two/file", b"content")
    ann.put("/file", b"")
    with refused(Kind.NOT_EMPTY, Kind.EXISTS):
        ann.rename("/one", "/two")
    with refused(Kind.IS_A_DIRECTORY, Kind.EXISTS):
        ann.rename("/file", "/two")
    with refused(Kind.NOT_A_DIRECTORY, Kind.EXISTS):
        ann.rename("/one", "/file")
    assert ann.get("/two/file") == b"content"


@pytest.mark.parametrize("target", ["/folder/folder", "/folder/below/folder"])
def test_a_folder_cannot_be_renamed_into_itself(ann: HomeUnderTest, target: str) -> None:
    ann.mkdir("/folder")
    ann.mkdir("/folder/below")
    with refused(Kind.INVALID):
        ann.rename("/folder", target)
    assert ann.list("/folder") == ["below"]


@pytest.mark.parametrize(("source", "target"), [("/missing", "/other"), ("/file", "/missing/other")])
def test_a_rename_from_or_to_nowhere_is_refused(ann: HomeUnderTest, source: str, target: str) -> None:
    ann.put("/file", b"content")
    with refused(Kind.NOT_FOUND):
        ann.rename(source, target)
    assert ann.get("/file") == b"content"


def test_a_file_renamed_while_its_next_version_comes_is_kept(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", b"old")
    upload = ann.begin_put("/file")
    upload.send(b"new")
    ann_again.rename("/file", "/kept")
    upload.finish()
    assert (ann.get("/file"), ann.get("/kept")) == (b"new", b"old")


def test_a_folder_renamed_while_an_upload_into_it_comes(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    upload = ann.begin_put("/folder/file")
    upload.send(b"content")
    ann_again.rename("/folder", "/other")
    with refused(Kind.NOT_FOUND):
        upload.finish()
    ann_again.rename("/other", "/folder")
    ann.put_from("/folder/file", 7, b"")
    assert ann.get("/folder/file") == b"content"


def test_a_name_taken_by_a_folder_while_an_upload_comes_is_not_replaced(
    ann: HomeUnderTest, ann_again: HomeUnderTest
) -> None:
    upload = ann.begin_put("/file")
    upload.send(b"content")
    ann_again.mkdir("/file")
    with refused(Kind.IS_A_DIRECTORY):
        upload.finish()
    assert ann.list("/file") == []


@pytest.mark.parametrize("mtime_s", [0, 1, 951_782_400, 1_700_000_000, 2_147_483_648, 4_102_444_800])
def test_a_time_is_kept_to_the_second(ann: HomeUnderTest, mtime_s: int) -> None:
    ann.put("/file", b"content")
    ann.set_mtime("/file", mtime_s)
    assert ann.stat("/file").mtime_s == mtime_s


def test_a_digest_stays_known_when_the_time_is_set(ann: HomeUnderTest) -> None:
    ann.put("/file", b"content")
    ann.set_mtime("/file", 1_000_000_000)
    assert ann.digest("/file") == hashlib.sha256(b"content").hexdigest()


def test_a_new_file_bears_the_present_time(ann: HomeUnderTest) -> None:
    before = int(time.time()) - 1
    ann.put("/file", b"content")
    assert before <= ann.stat("/file").mtime_s <= time.time() + 1


def test_a_time_is_set_on_a_folder(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    ann.set_mtime("/folder", 1_000_000_000)
    assert ann.stat("/folder").mtime_s == 1_000_000_000


def test_time_and_mode_of_nothing_are_refused(ann: HomeUnderTest) -> None:
    with refused(Kind.NOT_FOUND):
        ann.set_mtime("/missing", 0)
    with refused(Kind.NOT_FOUND):
        ann.set_mode("/missing", 0o600)
