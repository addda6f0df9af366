"""Never a byte or an entry over the limit, never a fit refused, and the ledger always equals a count of the disk."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest, Kind, Refused, Used, refused

LIMIT = 10_000


def full_house(house: House, **files: int) -> HomeUnderTest:
    """An account with LIMIT bytes that holds files of these sizes."""
    house.account("eve", quota_bytes=LIMIT)
    client = house.connect("eve")
    for name, size in files.items():
        client.put(f"/{name}", b"x" * size)
    return client


def test_an_exact_fit_succeeds(house: House) -> None:
    full_house(house, file=LIMIT)
    assert house.usage("eve") == Used(LIMIT, 1)


def test_one_byte_more_is_refused_and_changes_nothing(house: House) -> None:
    eve = full_house(house, file=1)
    with refused(Kind.QUOTA):
        eve.put("/more", b"x" * LIMIT)
    assert eve.list("/") == ["file"]
    assert house.usage("eve") == Used(1, 1)
    eve.put("/other", b"x" * (LIMIT - 1))


def test_going_on_too_far_is_refused_and_keeps_what_was_there_before(house: House) -> None:
    eve = full_house(house, file=3000)
    upload = eve.begin_put("/stage")
    upload.send(b"x" * 4000)
    upload.cut()
    with refused(Kind.QUOTA):
        eve.put_from("/stage", 4000, b"y" * 3001)
    assert house.usage("eve") == Used(7000, 2)
    with refused(Kind.QUOTA):
        eve.put_from("/file", 3000, b"y" * 5000)
    assert house.usage("eve") == Used(7000, 2)
    eve.put_from("/stage", 4000, b"y" * 3000)
    assert house.usage("eve") == Used(LIMIT, 2)


def test_an_unfinished_upload_is_deleted_by_its_name(house: House) -> None:
    eve = full_house(house)
    upload = eve.begin_put("/stage")
    upload.send(b"x" * LIMIT)
    upload.cut()
    eve.remove("/stage")
    assert house.usage("eve") == Used(0, 0)
    with refused(Kind.NOT_FOUND):
        eve.remove("/stage")


def test_a_byte_at_a_full_quota_is_refused(house: House) -> None:
    eve = full_house(house, file=LIMIT)
    with refused(Kind.QUOTA):
        eve.put("/more", b"x")
    assert house.usage("eve") == Used(LIMIT, 1)


def test_an_empty_file_fits_a_full_quota(house: House) -> None:
    full_house(house, file=LIMIT, empty=0)
    assert house.usage("eve") == Used(LIMIT, 2)


@pytest.mark.parametrize("size", [LIMIT, LIMIT - 1, 1, 0])
def test_a_full_quota_lets_a_file_be_replaced_by_one_no_larger(house: House, size: int) -> None:
    eve = full_house(house, file=LIMIT)
    eve.put("/file", b"y" * size)
    assert eve.get("/file") == b"y" * size
    assert house.usage("eve") == Used(size, 1)


def test_a_replacement_one_byte_too_large_is_refused_and_the_old_file_stays(house: House) -> None:
    eve = full_house(house, file=LIMIT)
    with refused(Kind.QUOTA):
        eve.put("/file", b"y" * (LIMIT + 1))
    assert eve.get("/file") == b"x" * LIMIT


def test_a_replacement_may_use_the_free_room_and_the_old_files(house: House) -> None:
    eve = full_house(house, file=4000, other=3000)
    eve.put("/file", b"y" * 7000)
    assert house.usage("eve") == Used(LIMIT, 2)
    with refused(Kind.QUOTA):
        eve.put("/file", b"z" * 7001)
    assert eve.get("/file") == b"y" * 7000


def test_a_cut_replacement_at_a_full_quota_stays_within_it(house: House) -> None:
    eve = full_house(house, file=LIMIT)
    upload = eve.begin_put("/file")
    upload.send(b"y" * 6000)
    upload.cut()
    assert eve.get("/file") == b"x" * LIMIT
    assert house.recount("eve").bytes <= LIMIT


def test_a_cut_replacement_keeps_of_its_stage_what_fits(house: House) -> None:
    eve = full_house(house, file=6000)
    upload = eve.begin_put("/file")
    upload.send(b"y" * 5000)
    upload.cut()
    assert house.recount("eve") == Used(LIMIT, 2)
    eve.put_from("/file", 4000, b"y" * 2000)
    assert eve.get("/file") == b"y" * 6000


def test_an_append_that_fits_exactly_succeeds(house: House) -> None:
    eve = full_house(house, file=9000)
    eve.append("/file", b"y" * 1000)
    assert house.usage("eve") == Used(LIMIT, 1)


def test_an_append_one_byte_too_long_is_refused_and_the_file_stays(house: House) -> None:
    eve = full_house(house, file=9000)
    with refused(Kind.QUOTA):
        eve.append("/file", b"y" * 1001)
    assert eve.get("/file") == b"x" * 9000


def test_a_stage_counts_against_the_quota(house: House) -> None:
    eve = full_house(house)
    upload = eve.begin_put("/stage")
    upload.send(b"x" * 6000)
    upload.cut()
    assert house.usage("eve") == Used(6000, 1)
    with refused(Kind.QUOTA):
        eve.put("/file", b"y" * 4001)


def test_a_stage_is_finished_at_a_full_quota(house: House) -> None:
    eve = full_house(house)
    upload = eve.begin_put("/file")
    upload.send(b"x" * LIMIT)
    upload.cut()
    eve.put_from("/file", LIMIT, b"")
    assert house.usage("eve") == Used(LIMIT, 1)


def test_a_stage_thrown_away_gives_its_room_back(house: House) -> None:
    eve = full_house(house)
    upload = eve.begin_put("/file")
    upload.send(b"x" * LIMIT)
    upload.cut()
    eve.put("/file", b"y" * LIMIT)
    assert house.usage("eve") == Used(LIMIT, 1)


def test_a_stage_cut_by_a_restart_gives_the_rest_back(house: House) -> None:
    eve = full_house(house)
    upload = eve.begin_put("/file")
    upload.send(b"x" * LIMIT)
    upload.cut()
    eve.put_from("/file", 100, b"y")
    assert house.usage("eve") == Used(101, 1)


def test_a_refused_upload_leaves_nothing_of_itself(house: House) -> None:
    eve = full_house(house, file=4000)
    upload = eve.begin_put("/more")
    upload.send(b"y" * 6000)
    with refused(Kind.QUOTA):
        upload.send(b"y")
        upload.finish()
    assert house.usage("eve") == Used(4000, 1)
    eve.put("/smaller", b"y" * 6000)
    assert house.usage("eve") == Used(LIMIT, 2)


def test_a_deletion_gives_the_room_back(house: House) -> None:
    eve = full_house(house, file=LIMIT)
    eve.remove("/file")
    assert house.usage("eve") == Used(0, 0)
    eve.put("/next", b"y" * LIMIT)


def test_a_rename_costs_nothing(house: House) -> None:
    eve = full_house(house, file=LIMIT)
    eve.rename("/file", "/other")
    assert house.usage("eve") == Used(LIMIT, 1)


def test_a_rename_onto_a_file_gives_its_room_back(house: House) -> None:
    eve = full_house(house, file=6000, other=4000)
    eve.rename("/file", "/other")
    assert house.usage("eve") == Used(6000, 1)


def test_a_rename_onto_itself_changes_nothing(house: House) -> None:
    eve = full_house(house, file=6000)
    eve.rename("/file", "/file")
    assert eve.get("/file") == b"x" * 6000
    assert house.usage("eve") == Used(6000, 1)


def test_a_rename_between_hard_links_of_one_file_changes_nothing(house: House) -> None:
    eve = full_house(house, file=600)
    with house.planting("eve") as home:
        (home / "twin").hardlink_to(home / "file")
    eve.rename("/file", "/twin")
    assert sorted(eve.list("/")) == ["file", "twin"]


def test_a_rename_of_a_folder_onto_an_empty_one_gives_an_entry_back(house: House) -> None:
    house.account("eve", max_files=3)
    eve = house.connect("eve")
    for name in ("/one", "/one/file", "/two"):
        eve.put(name, b"x") if name.endswith("file") else eve.mkdir(name)
    try:
        eve.rename("/one", "/two")
    except Refused:
        assert house.usage("eve") == Used(1, 3)
    else:
        assert house.usage("eve") == Used(1, 2)


def test_a_failed_rename_changes_nothing(house: House) -> None:
    eve = full_house(house, file=6000)
    with refused(Kind.NOT_FOUND):
        eve.rename("/missing", "/file")
    assert house.usage("eve") == Used(6000, 1)


def test_a_failed_deletion_changes_nothing(house: House) -> None:
    eve = full_house(house, file=6000)
    with refused(Kind.NOT_FOUND):
        eve.remove("/missing")
    assert house.usage("eve") == Used(6000, 1)


def test_a_copy_counts(house: House) -> None:
    eve = full_house(house, file=5000)
    eve.copy("/file", "/copy")
    assert house.usage("eve") == Used(LIMIT, 2)


def test_a_copy_that_does_not_fit_leaves_nothing(house: House) -> None:
    eve = full_house(house, file=5001)
    with refused(Kind.QUOTA):
        eve.copy("/file", "/copy")
    assert eve.list("/") == ["file"]


def test_a_file_onto_itself_can_be_copied_at_a_full_quota(house: House) -> None:
    eve = full_house(house, file=LIMIT)
    eve.copy("/file", "/file")
    assert eve.get("/file") == b"x" * LIMIT


def test_a_quota_of_nothing_takes_empty_files_alone(house: House) -> None:
    house.account("eve", quota_bytes=0)
    eve = house.connect("eve")
    eve.put("/empty", b"")
    with refused(Kind.QUOTA):
        eve.put("/file", b"x")
    assert eve.list("/") == ["empty"]


def test_no_quota_is_no_limit(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", b"x" * 1_000_000)
    assert house.usage("ann") == Used(1_000_000, 1)


def files_only(house: House, limit: int) -> HomeUnderTest:
    house.account("eve", max_files=limit)
    return house.connect("eve")


def test_files_and_folders_are_counted(house: House) -> None:
    eve = files_only(house, 3)
    eve.mkdir("/folder")
    eve.put("/folder/file", b"")
    eve.put("/file", b"x")
    assert house.usage("eve") == Used(1, 3)


def test_a_file_beyond_the_limit_of_entries_is_refused(house: House) -> None:
    eve = files_only(house, 1)
    eve.put("/file", b"x")
    with refused(Kind.QUOTA):
        eve.put("/more", b"")
    assert eve.list("/") == ["file"]


def test_a_folder_beyond_the_limit_of_entries_is_refused(house: House) -> None:
    eve = files_only(house, 1)
    eve.put("/file", b"x")
    with refused(Kind.QUOTA):
        eve.mkdir("/folder")
    assert eve.list("/") == ["file"]


def test_a_removed_folder_gives_its_entry_back(house: House) -> None:
    eve = files_only(house, 1)
    eve.mkdir("/folder")
    eve.rmdir("/folder")
    eve.put("/file", b"x")
    assert house.usage("eve") == Used(1, 1)


def test_a_failed_folder_costs_nothing(house: House) -> None:
    eve = files_only(house, 5)
    eve.mkdir("/folder")
    for path, kind in (("/folder", Kind.EXISTS), ("/missing/folder", Kind.NOT_FOUND)):
        with refused(kind):
            eve.mkdir(path)
    eve.put("/folder/file", b"")
    with refused(Kind.NOT_EMPTY):
        eve.rmdir("/folder")
    assert house.usage("eve") == Used(0, 2)


def test_a_file_is_replaced_at_the_limit_of_entries(house: House) -> None:
    eve = files_only(house, 1)
    eve.put("/file", b"old")
    eve.put("/file", b"newer")
    assert house.usage("eve") == Used(5, 1)


def test_a_cut_replacement_at_the_limit_of_entries_stays_within_it(house: House) -> None:
    eve = files_only(house, 1)
    eve.put("/file", b"old")
    upload = eve.begin_put("/file")
    upload.send(b"newer")
    upload.cut()
    assert eve.get("/file") == b"old"
    assert house.recount("eve") == Used(3, 1)


def test_a_stage_counts_as_an_entry(house: House) -> None:
    eve = files_only(house, 1)
    upload = eve.begin_put("/file")
    upload.send(b"x")
    upload.cut()
    with refused(Kind.QUOTA):
        eve.mkdir("/folder")
    eve.put_from("/file", 1, b"y")
    assert house.usage("eve") == Used(2, 1)


def test_files_planted_on_the_disk_are_found_by_a_recount(house: House) -> None:
    eve = full_house(house, file=100)
    with house.planting("eve") as home:
        (home / "planted").write_bytes(b"p" * 900)
        (home / "folder").mkdir()
        (home / "link").symlink_to("planted")
    assert house.usage("eve") == house.recount("eve")
    for name in ("planted", "link"):
        eve.remove(f"/{name}")
    eve.rmdir("/folder")
    assert house.usage("eve") == Used(100, 1)


def test_a_file_deleted_while_its_replacement_comes(house: House) -> None:
    eve = full_house(house, file=LIMIT)
    other = house.connect("eve")
    upload = eve.begin_put("/file")
    upload.send(b"y" * 6000)
    other.remove("/file")
    upload.finish()
    assert eve.get("/file") == b"y" * 6000
    assert house.usage("eve") == Used(6000, 1)


def test_the_room_of_a_file_deleted_while_its_replacement_comes_cannot_be_used_twice(house: House) -> None:
    eve = full_house(house, file=LIMIT)
    other = house.connect("eve")
    upload = eve.begin_put("/file")
    upload.send(b"y" * 6000)
    other.remove("/file")
    other.put("/quick", b"q" * LIMIT)
    with refused(Kind.QUOTA):
        upload.finish()
    assert eve.list("/") == ["quick"]
    assert house.recount("eve").bytes <= LIMIT


def test_a_folder_removed_while_an_upload_into_it_comes(house: House) -> None:
    eve = full_house(house)
    other = house.connect("eve")
    eve.mkdir("/folder")
    upload = eve.begin_put("/folder/file")
    upload.send(b"x" * 100)
    other.rmdir("/folder")
    with refused(Kind.NOT_FOUND):
        upload.finish()
    assert house.usage("eve") == Used(100, 1)


def test_a_reservation_that_fits_is_used_by_the_next_upload(house: House) -> None:
    eve = full_house(house)
    eve.reserve(LIMIT)
    eve.put("/file", b"x" * LIMIT)
    assert house.usage("eve") == Used(LIMIT, 1)


def test_a_reservation_that_does_not_fit_is_refused_before_any_byte(house: House) -> None:
    eve = full_house(house, file=1)
    with refused(Kind.QUOTA):
        eve.reserve(LIMIT)
    assert house.usage("eve") == Used(1, 1)


def test_a_reservation_keeps_others_out(house: House) -> None:
    eve = full_house(house)
    other = house.connect("eve")
    eve.reserve(LIMIT)
    with refused(Kind.QUOTA):
        other.put("/file", b"x")
    eve.put("/file", b"x")
    other.put("/other", b"x" * (LIMIT - 1))
    assert house.usage("eve") == Used(LIMIT, 2)


def test_a_reservation_ends_with_its_session(house: House) -> None:
    eve = full_house(house)
    eve.reserve(LIMIT)
    eve.close()
    house.connect("eve").put("/file", b"x" * LIMIT)


UPLOADS, FITTING, SIZE, BLOCK = 50, 20, 20_000, 4_000


def test_of_many_parallel_uploads_exactly_those_that_fit_succeed(house: House) -> None:
    house.account("eve", quota_bytes=FITTING * SIZE)
    clients = [house.connect("eve") for _ in range(UPLOADS)]
    together = Barrier(UPLOADS)
    refusals: list[Refused] = []

    def store(number: int) -> bool:
        together.wait(timeout=30)
        try:
            upload = clients[number].begin_put(f"/{number}")
            for _ in range(SIZE // BLOCK):
                upload.send(b"x" * BLOCK)
            upload.finish()
        except Refused as refusal:
            refusals.append(refusal)
            return False
        return True

    with ThreadPoolExecutor(UPLOADS) as pool:
        stored = sum(pool.map(store, range(UPLOADS)))
    assert stored == FITTING
    assert all(Kind.QUOTA in refusal.kinds for refusal in refusals)
    assert house.usage("eve") == house.recount("eve") == Used(FITTING * SIZE, FITTING)


def test_parallel_changes_of_every_sort_keep_the_ledger_exact(house: House) -> None:
    house.account("eve", quota_bytes=60_000, max_files=30)
    clients = [house.connect("eve") for _ in range(8)]

    def work(worker: int) -> None:
        client, mine = clients[worker], random.Random(worker)
        for step in range(30):
            one, two = (f"/{mine.randrange(6)}" for _ in range(2))
            deeds: list[Callable[[], object]] = [
                lambda one=one, step=step: client.put(one, b"x" * (step * 100)),  # type: ignore[misc]
                lambda one=one: client.append(one, b"y" * 500),  # type: ignore[misc]
                lambda one=one: client.remove(one),  # type: ignore[misc]
                lambda one=one, two=two: client.rename(one, two),  # type: ignore[misc]
                lambda one=one: client.mkdir(one + "d"),  # type: ignore[misc]
                lambda one=one: client.rmdir(one + "d"),  # type: ignore[misc]
                lambda one=one, two=two: client.rename(one + "d", two + "d"),  # type: ignore[misc]
            ]
            with suppress(Refused):
                mine.choice(deeds)()

    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(work, range(len(clients))))
    assert house.usage("eve") == house.recount("eve")
    assert house.usage("eve").bytes <= 60_000
    assert house.usage("eve").files <= 30
