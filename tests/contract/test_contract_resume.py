"""An upload that was cut goes on from where it stopped, and nothing else is ever mixed into it."""

from __future__ import annotations

import hashlib

import pytest
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest, Kind, Used, refused

DATA = bytes(range(256)) * 40  # 10,240 bytes
CUT = 3000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def leave_stage(client: HomeUnderTest, path: str, data: bytes = DATA[:CUT]) -> None:
    upload = client.begin_put(path)
    upload.send(data)
    upload.cut()


def test_a_cut_upload_goes_on_where_it_stopped(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    ann.put_from("/file", CUT, DATA[CUT:])
    assert ann.get("/file") == DATA


def test_the_digest_of_a_continued_upload_covers_the_whole_file(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    ann.put_from("/file", CUT, DATA[CUT:])
    assert ann.digest("/file") == sha256(DATA)


def test_the_announced_digest_of_a_continued_upload_is_the_whole_files(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file", DATA)
    ann.append("/file", b"tail")
    assert ann.digest("/file") == sha256(DATA + b"tail")


def test_the_size_of_a_cut_upload_tells_where_to_go_on(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    assert ann.resume_size("/file") == CUT


def test_the_size_of_a_whole_file_is_its_own(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA)
    assert ann.resume_size("/file") == len(DATA)


def test_the_size_of_a_whole_file_hides_its_stage(ann: HomeUnderTest) -> None:
    ann.put("/file", b"old")
    leave_stage(ann, "/file")
    assert ann.resume_size("/file") == 3


def test_the_size_of_nothing_is_refused(ann: HomeUnderTest) -> None:
    with refused(Kind.NOT_FOUND):
        ann.resume_size("/file")


def test_the_size_of_a_folder_is_refused(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    with refused(Kind.IS_A_DIRECTORY):
        ann.resume_size("/folder")


def test_a_stage_is_shown_to_its_own_account_alone(ann: HomeUnderTest, bob: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    with refused(Kind.NOT_FOUND):
        bob.resume_size("/file")
    with refused(Kind.PAST_END):
        bob.put_from("/file", CUT, DATA[CUT:])


def test_nothing_but_the_size_shows_a_stage(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    assert ann.list("/") == []
    with refused(Kind.NOT_FOUND):
        ann.stat("/file")
    with refused(Kind.NOT_FOUND):
        ann.get("/file")
    with refused(Kind.NOT_FOUND):
        ann.digest("/file")


def test_a_restart_inside_the_stage_cuts_it_there(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    ann.put_from("/file", 1000, b"other")
    assert ann.get("/file") == DATA[:1000] + b"other"
    assert ann.digest("/file") == sha256(DATA[:1000] + b"other")


def test_a_restart_past_the_stage_is_refused_and_keeps_it(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    with refused(Kind.PAST_END):
        ann.put_from("/file", CUT + 1, DATA[CUT + 1 :])
    assert ann.resume_size("/file") == CUT


def test_a_restart_past_the_whole_file_is_refused_and_keeps_it(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA)
    with refused(Kind.PAST_END):
        ann.put_from("/file", len(DATA) + 1, b"hole")
    assert ann.get("/file") == DATA


@pytest.mark.parametrize("offset", [1, 2**31, 2**63 - 1])
def test_a_restart_where_nothing_is_is_refused(ann: HomeUnderTest, house: House, offset: int) -> None:
    with refused(Kind.PAST_END):
        ann.put_from("/file", offset, b"hole")
    assert ann.list("/") == []
    assert house.recount("ann") == Used(0, 0)


def test_a_restart_at_the_end_of_a_whole_file_continues_it(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA[:CUT])
    ann.put_from("/file", CUT, DATA[CUT:])
    assert ann.get("/file") == DATA
    assert ann.digest("/file") == sha256(DATA)


def test_a_restart_inside_a_whole_file_keeps_its_beginning_alone(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA)
    ann.put_from("/file", 100, b"new tail")
    assert ann.get("/file") == DATA[:100] + b"new tail"


def test_a_restart_inside_a_whole_file_spares_it_until_the_end(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", DATA)
    upload = ann.begin_put("/file", offset=100)
    upload.send(b"new tail")
    assert ann_again.get("/file") == DATA
    upload.cut()
    assert ann.get("/file") == DATA


def test_a_restart_that_the_stage_reaches_goes_on_with_the_stage(ann: HomeUnderTest) -> None:
    ann.put("/file", b"o" * len(DATA))
    leave_stage(ann, "/file")
    ann.put_from("/file", CUT, DATA[CUT:])
    assert ann.get("/file") == DATA


def test_a_restart_that_the_stage_does_not_reach_goes_on_with_the_whole_file(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA)
    leave_stage(ann, "/file", b"s" * 10)
    ann.put_from("/file", 200, b"tail")
    assert ann.get("/file") == DATA[:200] + b"tail"


def test_a_restart_at_the_size_of_the_whole_file_goes_on_with_it_though_a_stage_is_there(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA[:100])
    leave_stage(ann, "/file", b"s" * CUT)
    ann.put_from("/file", 100, DATA[100:])
    assert ann.get("/file") == DATA


def test_a_restart_behind_a_shorter_whole_file_goes_on_with_the_stage(ann: HomeUnderTest) -> None:
    ann.put("/file", b"short")
    leave_stage(ann, "/file")
    ann.put_from("/file", CUT, DATA[CUT:])
    assert ann.get("/file") == DATA


def test_a_restart_at_nought_begins_anew(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    ann.put_from("/file", 0, b"anew")
    assert ann.get("/file") == b"anew"


def test_an_upload_without_a_restart_throws_the_stage_away(ann: HomeUnderTest, house: House) -> None:
    leave_stage(ann, "/file")
    ann.put("/file", b"anew")
    assert ann.get("/file") == b"anew"
    assert house.recount("ann") == Used(4, 1)


def test_append_continues_a_whole_file(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA[:CUT])
    ann.append("/file", DATA[CUT:])
    assert ann.get("/file") == DATA
    assert ann.digest("/file") == sha256(DATA)


def test_append_continues_a_stage(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    ann.append("/file", DATA[CUT:])
    assert ann.get("/file") == DATA


def test_append_to_nothing_makes_a_file(ann: HomeUnderTest) -> None:
    ann.append("/file", DATA)
    assert ann.get("/file") == DATA


def test_append_of_nothing_changes_nothing(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA)
    ann.append("/file", b"")
    assert ann.get("/file") == DATA
    assert ann.digest("/file") == sha256(DATA)


def test_append_prefers_the_whole_file_to_the_stage(ann: HomeUnderTest) -> None:
    ann.put("/file", b"whole")
    leave_stage(ann, "/file")
    ann.append("/file", b", more")
    assert ann.get("/file") == b"whole, more"


def test_a_cut_append_leaves_the_file_whole(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA)
    upload = ann.begin_put("/file", append=True)
    upload.send(b"some more")
    upload.cut()
    assert ann.get("/file") == DATA
    assert ann.digest("/file") == sha256(DATA)
    assert ann.resume_size("/file") == len(DATA)


def test_a_cut_append_can_be_done_again(ann: HomeUnderTest) -> None:
    ann.put("/file", DATA)
    upload = ann.begin_put("/file", append=True)
    upload.send(b"some")
    upload.cut()
    ann.append("/file", b"some more")
    assert ann.get("/file") == DATA + b"some more"


def test_byte_by_byte_appends_add_up(ann: HomeUnderTest) -> None:
    for byte in b"slowly":
        ann.append("/file", bytes([byte]))
    assert ann.get("/file") == b"slowly"
    assert ann.digest("/file") == sha256(b"slowly")


def test_an_upload_cut_many_times_is_whole_in_the_end(ann: HomeUnderTest) -> None:
    for start in range(0, len(DATA), 2048):
        upload = ann.begin_put("/file", offset=start)
        upload.send(DATA[start : start + 2048])
        upload.cut()
        assert ann.resume_size("/file") == start + 2048
    ann.put_from("/file", len(DATA), b"")
    assert ann.get("/file") == DATA
    assert ann.digest("/file") == sha256(DATA)


def test_a_stage_outlives_its_session(ann: HomeUnderTest, house: House) -> None:
    leave_stage(ann, "/file")
    ann.close()
    later = house.connect("ann")
    later.put_from("/file", CUT, DATA[CUT:])
    assert later.get("/file") == DATA


def test_the_old_file_stays_while_an_upload_is_continued(ann: HomeUnderTest, ann_again: HomeUnderTest) -> None:
    ann.put("/file", b"old")
    leave_stage(ann, "/file")
    upload = ann.begin_put("/file", offset=CUT)
    upload.send(DATA[CUT:])
    assert ann_again.get("/file") == b"old"
    upload.finish()
    assert ann_again.get("/file") == DATA


def test_a_stage_of_another_path_is_never_used(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/file")
    with refused(Kind.PAST_END):
        ann.put_from("/File", CUT, DATA[CUT:])


def test_two_spellings_have_two_stages(ann: HomeUnderTest) -> None:
    leave_stage(ann, "/caf\u00e9", b"composed")
    leave_stage(ann, "/cafe\u0301", b"apart")
    assert ann.resume_size("/caf\u00e9") == 8
    assert ann.resume_size("/cafe\u0301") == 5


def test_an_upload_cut_before_its_first_byte_leaves_nothing(ann: HomeUnderTest, house: House) -> None:
    ann.begin_put("/file").cut()
    assert house.recount("ann") == Used(0, 0)
    with refused(Kind.NOT_FOUND):
        ann.resume_size("/file")


def test_a_stage_in_a_folder_that_went_away_is_refused_and_kept(ann: HomeUnderTest) -> None:
    ann.mkdir("/folder")
    leave_stage(ann, "/folder/file")
    ann.rmdir("/folder")
    with refused(Kind.NOT_FOUND):
        ann.put_from("/folder/file", CUT, DATA[CUT:])
    ann.mkdir("/folder")
    ann.put_from("/folder/file", CUT, DATA[CUT:])
    assert ann.get("/folder/file") == DATA
