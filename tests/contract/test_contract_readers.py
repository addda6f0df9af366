"""A reader sees one version of a file, whole, whatever happens to its name meanwhile."""

from __future__ import annotations

import hashlib

import pytest
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest, Kind, refused

# Larger than what sockets and blocks buffer: the server is still sending while the test does something else.
BIG = bytes(range(256)) * 65_536  # 16 MiB
PART = 100_000


def test_a_reader_keeps_the_old_version_while_it_is_replaced(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", BIG)
    download = ann.begin_get("/file")
    first = download.receive(PART)
    ann_again.put("/file", b"new")
    assert first + download.rest() == BIG
    assert ann.get("/file") == b"new"


def test_a_reader_keeps_the_file_while_it_is_deleted(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", BIG)
    download = ann.begin_get("/file")
    first = download.receive(PART)
    ann_again.remove("/file")
    assert first + download.rest() == BIG
    with refused(Kind.NOT_FOUND):
        ann.get("/file")


def test_a_reader_keeps_the_file_while_it_is_renamed(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", BIG)
    download = ann.begin_get("/file")
    first = download.receive(PART)
    ann_again.rename("/file", "/other")
    assert first + download.rest() == BIG


def test_a_reader_keeps_the_old_version_while_it_is_appended_to(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", BIG)
    download = ann.begin_get("/file")
    first = download.receive(PART)
    ann_again.append("/file", b"more")
    assert first + download.rest() == BIG
    assert ann.stat("/file").size == len(BIG) + 4


def test_a_file_that_shrinks_while_it_is_sent_is_never_reported_whole(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", BIG)
    download = ann.begin_get("/file")
    download.receive(PART)
    with house.planting("ann") as home:
        (home / "file").write_bytes(b"short")
    with refused(Kind.CHANGED):
        download.rest()


def test_a_file_that_grows_while_it_is_sent_ends_where_it_ended(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", BIG)
    download = ann.begin_get("/file")
    first = download.receive(PART)
    with house.planting("ann") as home, (home / "file").open("ab") as file:
        file.write(b"grown")
    assert first + download.rest() == BIG


def test_many_readers_read_side_by_side(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", BIG)
    one, two = ann.begin_get("/file"), ann_again.begin_get("/file", offset=5)
    assert one.receive(PART) == BIG[:PART]
    assert two.rest() == BIG[5:]
    assert one.rest() == BIG[PART:]


def test_a_download_may_be_cut(ann: HomeUnderTest) -> None:
    ann.put("/file", BIG)
    download = ann.begin_get("/file")
    download.receive(PART)
    download.cut()
    assert ann.get("/file", len(BIG) - 3) == BIG[-3:]


@pytest.mark.parametrize("offset", [0, 1, 4096, 65_535, 262_145])
def test_a_download_starts_where_it_is_told(ann: HomeUnderTest, offset: int) -> None:
    data = BIG[:262_146]
    ann.put("/file", data)
    assert ann.get("/file", offset) == data[offset:]


def test_a_download_from_the_end_is_empty(ann: HomeUnderTest) -> None:
    ann.put("/file", b"data")
    assert ann.get("/file", 4) == b""


@pytest.mark.parametrize("offset", [5, 2**31, 2**63 - 1])
def test_a_download_from_behind_the_end_is_refused(ann: HomeUnderTest, offset: int) -> None:
    ann.put("/file", b"data")
    with refused(Kind.PAST_END):
        ann.get("/file", offset)


def test_a_download_of_a_folder_is_refused(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    for path in ("/folder", "/"):
        with refused(Kind.IS_A_DIRECTORY):
            ann.get(path)


def test_a_download_of_nothing_is_refused(ann: HomeUnderTest) -> None:
    for path in ("/missing", "/missing/file"):
        with refused(Kind.NOT_FOUND):
            ann.get(path)


def test_a_digest_follows_a_file_changed_behind_the_servers_back(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", b"data")
    with house.planting("ann") as home:
        (home / "file").write_bytes(b"other, longer")
    assert ann.digest("/file") == hashlib.sha256(b"other, longer").hexdigest()


def test_a_file_that_was_planted_has_a_digest(ann: HomeUnderTest, house: House) -> None:
    with house.planting("ann") as home:
        (home / "file").write_bytes(b"")
    assert ann.digest("/file") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert ann.digest("/file") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
