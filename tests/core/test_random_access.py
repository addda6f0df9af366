"""Uploads in any order against a plain file, and reads anywhere; the ledger is exact whatever happens."""

from __future__ import annotations

import errno
import hashlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.house import House
from tests.contract.subject import Used

from homeport.core.errors import (
    HomeportError,
    QuotaExceeded,
    SourceChanged,
    StorageFailed,
    StorageFull,
    WouldBlock,
)
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.random_access import WINDOW_BYTES, PatchedUpload, read_at
from homeport.core.stages import PATCHED_MODE, STAGE_MODE

FILE = VirtualPath(("file",))
OLD = bytes(range(250)) * 4  # 1,000 bytes
LIMIT = 10_000_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=LIMIT)
        yield house
        house.prove_exact()


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        yield home


def store(home: Home, data: bytes) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(data)
        upload.commit()


def content(home: Home) -> bytes:
    with home.begin_download(FILE) as download:
        buffer = bytearray(download.size)
        assert read_at(download, buffer, 0) == len(buffer)
        download.finish()
        return bytes(buffer)


def stage_mode(upload: PatchedUpload) -> int:
    return os.fstat(upload.fileno()).st_mode & 0o777


def test_pieces_that_overtake_one_another_are_stored_in_order(home: Home) -> None:
    pieces = {at: OLD[at : at + 100] for at in range(0, 1000, 100)}
    with home.begin_patch(FILE) as upload:
        for at in (100, 300, 200, 0, 500, 400, 900, 800, 700, 600):
            upload.write_at(pieces[at], at)
        assert upload.size == 1000
        assert stage_mode(upload) == STAGE_MODE
        assert upload.commit().sha256 == sha256(OLD)
    assert content(home) == OLD


def test_what_is_held_belongs_to_nobody_else(home: Home) -> None:
    with home.begin_patch(FILE) as upload:
        buffer = bytearray(b"second")
        upload.write_at(buffer, 5)
        buffer[:] = b"xxxxxx"
        upload.write_at(b"first", 0)
        upload.commit()
    assert content(home) == b"firstsecond"


def test_a_gap_that_stays_is_read_as_zeros_and_counts(home: Home, house: House) -> None:
    with home.begin_patch(FILE) as upload:
        upload.write_at(b"end", 1000)
        assert upload.size == 0
        assert upload.commit().sha256 == sha256(b"\0" * 1000 + b"end")
    assert content(home) == b"\0" * 1000 + b"end"
    assert house.usage("ann") == Used(1003, 1)


def test_pieces_beyond_the_window_are_stored_where_they_belong(home: Home) -> None:
    block = b"b" * (WINDOW_BYTES // 2)
    with home.begin_patch(FILE) as upload:
        for number in (1, 2, 3):
            upload.write_at(block, number * len(block))
        assert stage_mode(upload) == PATCHED_MODE
        upload.write_at(b"a" * len(block), 0)
        wanted = b"a" * len(block) + block * 3
        assert upload.commit().sha256 == sha256(wanted)
    assert content(home) == wanted


def test_a_piece_that_overlaps_a_held_one_wins(home: Home) -> None:
    with home.begin_patch(FILE) as upload:
        upload.write_at(b"aaaa", 4)
        upload.write_at(b"bbbb", 6)
        upload.write_at(b"cccccc", 0)
        upload.commit()
    assert content(home) == b"ccccccbbbb"


def test_a_file_that_is_there_is_changed_in_its_middle(home: Home, house: House) -> None:
    store(home, OLD)
    with home.begin_patch(FILE, append=True) as upload:
        upload.write_at(b"new", 500)
        upload.write_at(b"tail", 998)
        assert content(home) == OLD
        upload.commit()
    wanted = OLD[:500] + b"new" + OLD[503:998] + b"tail"
    assert content(home) == wanted
    assert home.digest(FILE) == sha256(wanted)
    assert house.usage("ann") == Used(1002, 1)


def test_it_is_read_while_it_is_written(home: Home) -> None:
    with home.begin_patch(FILE) as upload:
        upload.write_at(b"begin", 0)
        upload.write_at(b"end", 10)
        buffer = bytearray(20)
        assert upload.read_at(buffer, 3) == 10
        assert buffer[:10] == b"in" + b"\0" * 5 + b"end"
        assert upload.read_at(buffer, 13) == 0
        upload.commit()


@pytest.mark.parametrize("size", [0, 1, 400, 1000, 1001, 5000])
def test_it_is_cut_and_stretched(home: Home, house: House, size: int) -> None:
    store(home, OLD)
    with home.begin_patch(FILE, append=True) as upload:
        upload.resize(size)
        assert upload.size == size
        upload.commit()
    wanted = OLD[:size].ljust(size, b"\0")
    assert content(home) == wanted
    assert home.digest(FILE) == sha256(wanted)
    assert house.usage("ann") == Used(size, 1)


def test_cut_to_nothing_it_begins_anew(home: Home) -> None:
    with home.begin_patch(FILE) as upload:
        upload.write_at(b"x" * 100, 50)
        upload.settle()
        assert stage_mode(upload) == PATCHED_MODE
        upload.resize(0)
        assert stage_mode(upload) == STAGE_MODE
        upload.write_at(OLD, 0)
        assert upload.commit().sha256 == sha256(OLD)
    assert content(home) == OLD


def test_it_is_made_to_last_before_its_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    with home.begin_patch(FILE) as upload:
        monkeypatch.setattr(upload._works.durability, "flush", flushed.append)
        upload.write_at(b"b", 1)
        upload.flush()
        assert flushed == [upload.fileno()]
        assert upload.size == 2
        upload.commit()


def test_sealed_alone_it_stores_what_was_held(home: Home) -> None:
    with home.begin_patch(FILE) as upload:
        upload.write_at(b"b", 1)
        upload.seal(expected_size=2)
        upload.abort("not wanted")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_changed_file_keeps_its_mode(home: Home, house: House, mode: int) -> None:
    store(home, OLD)
    home.set_mode(FILE, mode)
    with home.begin_patch(FILE, append=True) as upload:
        upload.write_at(b"x", 0)
        upload.commit()
    assert home.stat(FILE).mode == mode


def test_the_quota_holds_for_gaps_and_stretching(home: Home, house: House) -> None:
    with home.begin_patch(FILE) as upload:
        with pytest.raises(QuotaExceeded):
            upload.resize(LIMIT + 1)
        assert upload.size == 0
        upload.write_at(b"x", LIMIT)
        with pytest.raises(QuotaExceeded):
            upload.settle()
        upload.abort("no room")
    assert house.usage("ann") == house.recount("ann")


def test_a_gap_larger_than_the_disk_is_refused(home: Home, house: House) -> None:
    house.change("ann", quota_bytes=None)
    with home.begin_patch(FILE) as upload:
        with pytest.raises(StorageFull):
            upload.resize(1 << 60)
        upload.write_at(b"x" * 10, 0)
        upload.commit()
    assert content(home) == b"x" * 10


def test_a_cut_upload_keeps_what_came_in_order(home: Home, house: House) -> None:
    with home.begin_patch(FILE) as upload:
        upload.write_at(OLD, 0)
        upload.write_at(b"far", 5000)
        upload.settle()
        upload.write_at(b"back", 600)
    assert home.resume_size(FILE) == 600
    assert house.usage("ann") == Used(600, 1)
    with home.begin_upload(FILE, offset=600) as again:
        again.write(OLD[600:])
        again.commit()
    assert content(home) == OLD


def test_a_cut_upload_forgets_what_it_held(home: Home) -> None:
    with home.begin_patch(FILE) as upload:
        upload.write_at(b"first", 0)
        upload.write_at(b"third", 10)
    assert home.resume_size(FILE) == 5


def test_a_cut_change_of_a_file_leaves_no_copy_of_it(home: Home, house: House) -> None:
    store(home, OLD)
    with home.begin_patch(FILE, append=True) as upload:
        upload.write_at(b"new", 500)
    assert house.usage("ann") == Used(1000, 1)
    assert home.partial_size(FILE) == 0


def test_a_stage_that_cannot_be_cut_is_thrown_away(home: Home, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = home.begin_patch(FILE)
    upload.write_at(b"x" * 100, 0)
    upload.write_at(b"y", 50)

    def fail(_: int) -> None:
        raise StorageFailed("EIO")

    monkeypatch.setattr(upload, "_cut", fail)
    upload.abort("cut")
    upload.abort("twice")
    assert house.usage("ann") == Used(0, 0)


def test_what_a_dead_process_wrote_in_any_order_continues_nothing(home: Home, house: House) -> None:
    upload = home.begin_patch(FILE)
    upload.write_at(b"x" * 100, 0)
    upload.write_at(b"y", 50)
    upload._stage.close()  # as the kernel does
    assert home.partial_size(FILE) == 0
    with home.begin_patch(FILE, append=True) as again:
        assert again.size == 0
        again.write_at(OLD, 0)
        again.commit()
    assert content(home) == OLD
    upload._closed = True
    house.services.ledger.arbiter.leave(house.accounts.get("ann").id, upload._turn)
    assert house.usage("ann") == house.recount("ann")


def failing(code: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_disk_that_fails_is_said_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with home.begin_patch(FILE) as upload:
        upload.write_at(OLD, 0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing(errno.ENOSPC))
            with pytest.raises(StorageFull):
                upload.write_at(b"x", 5)
            patch.setattr(os, "pwrite", lambda *_: 0)
            with pytest.raises(StorageFailed, match=r"\(nothing was written\)"):
                upload.write_at(b"x", 5)
            patch.setattr(os, "preadv", failing(errno.EIO))
            with pytest.raises(StorageFailed, match=r"\(EIO\)"):
                upload.read_at(bytearray(1), 0)

            def fail(_: int) -> None:
                raise StorageFailed("EIO")

            patch.setattr(type(upload._stage), "truncate", lambda _, size: fail(size))
            with pytest.raises(StorageFailed, match=r"\(EIO\)"):
                upload.resize(2000)
        assert upload.size == 1000


def test_after_its_end_nothing_is_written(home: Home) -> None:
    upload = home.begin_patch(FILE)
    upload.commit()
    for deed in (
        lambda: upload.write_at(b"x", 0),
        lambda: upload.write_at(b"x", 10),
        lambda: upload.read_at(bytearray(1), 0),
        lambda: upload.resize(5),
        upload.flush,
    ):
        with pytest.raises(ValueError, match=r"^this upload has ended$"):
            deed()


@pytest.mark.parametrize("seed", range(12))
def test_random_deeds_do_what_they_do_to_a_plain_file(home: Home, house: House, seed: int) -> None:
    mine = random.Random(seed)
    model = bytearray()
    if seed % 2:
        store(home, OLD)
        model += OLD
    with home.begin_patch(FILE, append=True) as upload:
        for _ in range(60):
            at, size = mine.randrange(4000), mine.randrange(1, 900)
            match mine.randrange(8):
                case 0:
                    upload.resize(at)
                    model = model[:at].ljust(at, b"\0")
                case 1:
                    buffer = bytearray(size)
                    count = upload.read_at(buffer, at)
                    assert buffer[:count] == model[at : at + size]
                case _:
                    at = len(model) if mine.random() < 0.4 else at
                    data = mine.randbytes(size)
                    model += bytes(max(0, at - len(model)))
                    model[at : at + size] = data
                    upload.write_at(data, at)
        assert upload.commit().sha256 == sha256(bytes(model))
    assert content(home) == model
    assert house.usage("ann") == Used(len(model), 1)


# Reading anywhere


def test_a_download_is_read_anywhere(home: Home) -> None:
    store(home, OLD)
    with home.begin_download(FILE) as download:
        buffer = bytearray(100)
        assert (read_at(download, buffer, 950), bytes(buffer[:50])) == (50, OLD[950:])
        assert download.position == 1000
        assert (read_at(download, buffer, 10, may_block=False), bytes(buffer)) == (100, OLD[10:110])
        assert download.position == 1000
        assert read_at(download, buffer, 1000) == read_at(download, buffer, 1 << 40) == 0
        download.finish()


def test_a_file_that_was_cut_is_said_so(home: Home, house: House) -> None:
    store(home, OLD)
    with home.begin_download(FILE) as download:
        with house.planting("ann") as folder:
            os.truncate(folder / "file", 10)
        assert read_at(download, bytearray(100), 0) == 10
        with pytest.raises(WouldBlock):
            read_at(download, bytearray(100), 0, may_block=False)
        with pytest.raises(SourceChanged):
            read_at(download, bytearray(100), 10)


@pytest.mark.parametrize(
    ("code", "may_block", "error"),
    [(errno.EAGAIN, False, WouldBlock), (errno.EIO, False, StorageFailed), (errno.EAGAIN, True, HomeportError)],
)
def test_a_read_that_fails(
    home: Home, monkeypatch: pytest.MonkeyPatch, code: int, may_block: bool, error: type[Exception]
) -> None:
    store(home, OLD)
    with home.begin_download(FILE) as download:
        monkeypatch.setattr(os, "preadv", failing(code))
        with pytest.raises(error):
            read_at(download, bytearray(10), 0, may_block=may_block)
        download.abort("failed")
