"""An upload stands whole under its name or not at all, and carries its digest."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest, Kind, Refused, refused

SIZES = (0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 262143, 262144, 262145, 1048577, 3_000_000)
OLD = b"the old version" * 10
NEW = b"the new one" * 30


def pattern(size: int) -> bytes:
    """Bytes in which no block equals another."""
    return b"".join(index.to_bytes(4, "big") for index in range(size // 4 + 1))[:size]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back_byte_for_byte(ann: HomeUnderTest, size: int) -> None:
    ann.put("/file", pattern(size))
    assert ann.get("/file") == pattern(size)
    assert ann.stat("/file").size == size


@pytest.mark.parametrize("size", SIZES)
def test_its_digest_is_known_at_once(ann: HomeUnderTest, size: int) -> None:
    ann.put("/file", pattern(size))
    assert ann.digest("/file") == sha256(pattern(size))


def test_a_new_file_is_invisible_until_it_is_whole(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    upload = ann.begin_put("/file")
    upload.send(b"first half")
    assert ann_again.list("/") == []
    with refused(Kind.NOT_FOUND):
        ann_again.stat("/file")
    with refused(Kind.NOT_FOUND):
        ann_again.get("/file")
    with refused(Kind.NOT_FOUND):
        ann_again.remove("/file")
    with refused(Kind.NOT_FOUND):
        ann_again.rename("/file", "/other")
    upload.send(b", second half")
    upload.finish()
    assert ann_again.get("/file") == b"first half, second half"


def test_the_old_file_stays_until_the_new_one_is_whole(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", OLD)
    upload = ann.begin_put("/file")
    upload.send(NEW[:50])
    assert ann_again.get("/file") == OLD
    assert ann_again.stat("/file").size == len(OLD)
    upload.send(NEW[50:])
    upload.finish()
    assert ann_again.get("/file") == NEW


def test_a_cut_upload_leaves_the_old_file(ann: HomeUnderTest) -> None:
    ann.put("/file", OLD)
    upload = ann.begin_put("/file")
    upload.send(NEW[:50])
    upload.cut()
    assert ann.get("/file") == OLD
    assert ann.digest("/file") == sha256(OLD)


def test_a_cut_upload_leaves_nothing_under_a_new_name(ann: HomeUnderTest) -> None:
    upload = ann.begin_put("/file")
    upload.send(NEW)
    upload.cut()
    assert ann.list("/") == []
    with refused(Kind.NOT_FOUND):
        ann.get("/file")


@pytest.mark.parametrize(("old", "new"), [(OLD, NEW), (NEW, OLD), (OLD, b""), (b"", NEW), (OLD, OLD)])
def test_overwriting_leaves_nothing_of_the_old_file(ann: HomeUnderTest, old: bytes, new: bytes) -> None:
    ann.put("/file", old)
    ann.put("/file", new)
    assert ann.get("/file") == new
    assert ann.digest("/file") == sha256(new)
    assert ann.list("/") == ["file"]


def test_many_small_blocks_make_one_file(ann: HomeUnderTest) -> None:
    data = pattern(20_000)
    upload = ann.begin_put("/file")
    for start in range(0, len(data), 997):
        upload.send(data[start : start + 997])
    upload.finish()
    assert ann.get("/file") == data
    assert ann.digest("/file") == sha256(data)


def test_an_upload_into_a_missing_folder_is_refused(ann: HomeUnderTest) -> None:
    with refused(Kind.NOT_FOUND):
        ann.put("/missing/file", NEW)
    assert ann.list("/") == []


def test_an_upload_below_a_file_is_refused(ann: HomeUnderTest) -> None:
    ann.put("/file", OLD)
    with refused(Kind.NOT_A_DIRECTORY):
        ann.put("/file/below", NEW)
    assert ann.get("/file") == OLD


def test_an_upload_onto_a_folder_is_refused(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    with refused(Kind.IS_A_DIRECTORY):
        ann.put("/folder", NEW)
    assert ann.list("/folder") == []


def test_an_upload_onto_the_home_itself_is_refused(ann: HomeUnderTest) -> None:
    with refused(Kind.IS_A_DIRECTORY, Kind.ROOT):
        ann.put("/", NEW)


def test_a_second_writer_of_a_path_is_refused(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    upload = ann.begin_put("/file")
    upload.send(NEW[:10])
    with refused(Kind.BUSY):
        ann_again.put("/file", OLD)
    upload.send(NEW[10:])
    upload.finish()
    assert ann.get("/file") == NEW


def test_the_next_writer_may_come_when_the_first_has_finished(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", OLD)
    ann_again.put("/file", NEW)
    assert ann.get("/file") == NEW


def test_the_next_writer_may_come_when_the_first_was_cut(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    upload = ann.begin_put("/file")
    upload.send(OLD)
    upload.cut()
    ann_again.put("/file", NEW)
    assert ann_again.get("/file") == NEW


def test_two_paths_are_written_side_by_side(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    one, two = ann.begin_put("/one"), ann_again.begin_put("/two")
    one.send(OLD)
    two.send(NEW)
    two.finish()
    one.finish()
    assert (ann.get("/one"), ann.get("/two")) == (OLD, NEW)


def test_equal_paths_of_two_accounts_are_two_files(ann: HomeUnderTest, bob: HomeUnderTest) -> None:
    upload = ann.begin_put("/file")
    upload.send(OLD)
    bob.put("/file", NEW)
    upload.finish()
    assert (ann.get("/file"), bob.get("/file")) == (OLD, NEW)


def test_announced_size_and_digest_that_hold_are_accepted(ann: HomeUnderTest) -> None:
    ann.put_announced("/file", NEW, size=len(NEW), sha256=sha256(NEW))
    assert ann.get("/file") == NEW


@pytest.mark.parametrize("size", [len(NEW) - 1, len(NEW) + 1])
def test_a_size_other_than_announced_stores_nothing(ann: HomeUnderTest, size: int) -> None:
    ann.put("/file", OLD)
    with refused(Kind.WRONG_SIZE):
        ann.put_announced("/file", NEW, size=size)
    assert ann.get("/file") == OLD


def test_a_file_shorter_than_announced_can_be_continued(ann: HomeUnderTest) -> None:
    with refused(Kind.WRONG_SIZE):
        ann.put_announced("/file", NEW[:20], size=len(NEW))
    assert ann.resume_size("/file") == 20
    ann.put_from("/file", 20, NEW[20:])
    assert ann.get("/file") == NEW


def test_a_digest_other_than_announced_stores_nothing(ann: HomeUnderTest) -> None:
    ann.put("/file", OLD)
    with refused(Kind.WRONG_DIGEST):
        ann.put_announced("/file", NEW, sha256=sha256(OLD))
    assert ann.get("/file") == OLD


def test_wrong_bytes_are_not_kept_to_be_continued(ann: HomeUnderTest) -> None:
    with refused(Kind.WRONG_DIGEST):
        ann.put_announced("/file", NEW, sha256=sha256(OLD))
    with refused(Kind.NOT_FOUND):
        ann.resume_size("/file")


def test_unique_names_never_meet(ann: HomeUnderTest) -> None:
    names = {ann.put_unique("/name", pattern(size)) for size in range(5)}
    assert len(names) == 5
    assert sorted(len(ann.get(name)) for name in names) == [0, 1, 2, 3, 4]


def test_a_unique_name_spares_what_is_there(ann: HomeUnderTest) -> None:
    ann.put("/name", OLD)
    assert ann.put_unique("/name", NEW) != "/name"
    assert ann.get("/name") == OLD


def test_a_copy_is_a_second_file_with_the_same_digest(ann: HomeUnderTest) -> None:
    data = pattern(2_500_000)
    ann.put("/file", data)
    ann.copy("/file", "/copy")
    assert ann.get("/copy") == data
    assert ann.digest("/copy") == sha256(data)
    ann.put("/file", OLD)
    assert ann.get("/copy") == data


def test_a_copy_onto_a_file_replaces_it(ann: HomeUnderTest) -> None:
    ann.put("/file", NEW)
    ann.put("/copy", OLD)
    ann.copy("/file", "/copy")
    assert ann.get("/copy") == NEW


def test_a_copy_of_a_folder_is_refused(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    with refused(Kind.IS_A_DIRECTORY):
        ann.copy("/folder", "/copy")


def test_a_copy_of_nothing_is_refused(ann: HomeUnderTest) -> None:
    with refused(Kind.NOT_FOUND):
        ann.copy("/missing", "/copy")
    assert ann.list("/") == []


def test_a_new_file_is_open_to_nobody_else(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", NEW)
    assert (house.home("ann") / "file").stat().st_mode & 0o7777 == 0o600


def test_overwriting_keeps_the_mode(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", OLD)
    ann.set_mode("/file", 0o640)
    ann.put("/file", NEW)
    assert (house.home("ann") / "file").stat().st_mode & 0o7777 == 0o640


def test_no_setuid_comes_into_a_home(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", OLD)
    with suppress(Refused):  # or the bits are dropped
        ann.set_mode("/file", 0o6755)
    assert (house.home("ann") / "file").stat().st_mode & 0o7000 == 0
