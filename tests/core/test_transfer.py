"""Uploads and downloads, and what is left when the disk fails them at every step (threats Q4, E5)."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.house import House
from tests.contract.subject import Used

from homeport.core import blanks
from homeport.core.durability import Policy
from homeport.core.errno_table import storage_error
from homeport.core.errors import (
    DigestMismatch,
    HomeportError,
    QuotaExceeded,
    SizeMismatch,
    SourceChanged,
    StateUnavailable,
    StorageFailed,
    StorageFull,
)
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.transfer import Stored

FILE = VirtualPath(("file",))
OLD = b"o" * 700
NEW = b"n" * 1000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path, Policy.ALWAYS) as house:
        house.account("ann", quota_bytes=10_000)
        yield house
        house.prove_exact()


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        yield home


def store(home: Home, data: bytes, path: VirtualPath = FILE) -> Stored:
    with home.begin_upload(path) as upload:
        upload.write(data)
        return upload.commit()


def read(home: Home, path: VirtualPath = FILE) -> bytes:
    with home.begin_download(path) as download:
        buffer = bytearray(download.size + 1)
        count = download.read_into(buffer)
        download.finish()
        return bytes(buffer[:count])


def failing(number: int, when: Callable[..., bool] = lambda *_, **__: True) -> Callable[[Any], Any]:
    """Makes an os function raise `number` when the arguments please `when`."""

    def wrap(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if when(*args, **kwargs):
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        return call

    return wrap


def break_os(patch: pytest.MonkeyPatch, name: str, wrap: Callable[[Any], Any]) -> None:
    patch.setattr(os, name, wrap(getattr(os, name)))


def break_renames(patch: pytest.MonkeyPatch, number: int) -> None:
    break_os(patch, "rename", failing(number))
    patch.setattr(blanks, "exchange", failing(number)(None))


class Flush:
    """Of all flushes, one fails: the first is that of the file, the second that of its folder."""

    def __init__(self, number: int, *, failing_at: int) -> None:
        self._number = number
        self._left = failing_at

    def __call__(self, fd: int) -> None:
        os.fsync(fd)
        self._left -= 1
        if not self._left:
            raise storage_error(OSError(self._number, ""))


NUMBERS = [
    (errno.ENOSPC, StorageFull()),
    (errno.EDQUOT, StorageFull()),
    (errno.EIO, StorageFailed("EIO")),
    (errno.EFBIG, StorageFailed("EFBIG")),
]


def expect(error: HomeportError) -> Any:
    return pytest.raises(type(error), match=f"^{str(error).replace('(', '.').replace(')', '.')}$")


def test_what_is_stored_is_told(home: Home) -> None:
    assert store(home, OLD) == Stored(700, sha256(OLD), replaced=False)
    assert store(home, NEW) == Stored(1000, sha256(NEW), replaced=True)


def test_every_sort_of_buffer_is_written(home: Home) -> None:
    with home.begin_upload(FILE) as upload:
        for data in (b"one", bytearray(b"two"), memoryview(b"xthreex")[1:-1], memoryview(bytearray(8)).cast("Q")):
            upload.write(data)
        assert upload.size == 19
        upload.commit()
    assert read(home) == b"onetwothree" + bytes(8)


def test_an_ended_upload_takes_nothing_more(home: Home) -> None:
    with home.begin_upload(FILE) as upload:
        upload.commit()
        for late in (lambda: upload.write(b"more"), upload.commit):
            with pytest.raises(ValueError, match=r"^this upload has ended$"):
                late()
        upload.abort("late")
    assert read(home) == b""


def test_digests_are_compared_in_either_case(home: Home) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(NEW)
        assert upload.commit(expected_sha256=sha256(NEW).upper()).sha256 == sha256(NEW)


def test_refusals_at_the_end_say_why(home: Home) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(NEW)
        with pytest.raises(SizeMismatch) as size:
            upload.commit(expected_size=5)
        with pytest.raises(DigestMismatch) as digest:
            upload.commit(expected_sha256="AB")
    assert str(size.value) == "/file: 5 bytes were announced, 1000 came; what came is kept, resume to go on"
    assert str(digest.value) == f"/file: SHA-256 ab was announced, {sha256(NEW)} came; nothing was stored"


@pytest.mark.parametrize(("number", "error"), NUMBERS)
def test_a_write_that_fails_in_the_middle_of_a_block_keeps_what_was_written(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch, number: int, error: HomeportError
) -> None:
    store(home, OLD)

    def short_then_failing(real: Any) -> Any:
        def call(fd: int, data: memoryview, offset: int) -> Any:
            if offset:
                raise OSError(number, "")
            return real(fd, data[:300], offset)

        return call

    with monkeypatch.context() as patch, home.begin_upload(FILE) as upload:
        break_os(patch, "pwrite", short_then_failing)
        with expect(error):
            upload.write(NEW)
        assert upload.size == 300
    assert read(home) == OLD
    assert house.usage("ann") == house.recount("ann") == Used(1000, 2)
    with home.begin_upload(FILE, offset=300) as upload:
        upload.write(NEW[300:])
        assert upload.commit().sha256 == sha256(NEW)
    assert read(home) == NEW


def test_a_disk_that_takes_nothing_and_says_nothing_is_a_failure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, home.begin_upload(FILE) as upload:
        break_os(patch, "pwrite", lambda _: lambda *_: 0)
        with expect(StorageFailed("nothing was written")):
            upload.write(NEW)


@pytest.mark.parametrize(("number", "error"), NUMBERS)
def test_a_flush_that_fails_keeps_the_old_file_and_trusts_the_stage_no_more(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch, number: int, error: HomeportError
) -> None:
    store(home, OLD)
    with monkeypatch.context() as patch, home.begin_upload(FILE) as upload:
        upload.write(NEW)
        patch.setattr(house.services.durability, "flush", Flush(number, failing_at=1))
        with expect(error):
            upload.commit()
    assert read(home) == OLD
    assert house.usage("ann") == house.recount("ann") == Used(700, 1)


@pytest.mark.parametrize(("number", "error"), NUMBERS)
def test_a_rename_that_fails_keeps_the_old_file_and_the_stage(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch, number: int, error: HomeportError
) -> None:
    store(home, OLD)
    home.set_mode(FILE, 0o444)
    with monkeypatch.context() as patch, home.begin_upload(FILE) as upload:
        upload.write(NEW)
        break_renames(patch, number)
        with expect(error):
            upload.commit()
    assert read(home) == OLD
    assert house.usage("ann") == house.recount("ann") == Used(1700, 2)
    with home.begin_upload(FILE, offset=1000) as upload:
        assert upload.commit() == Stored(1000, sha256(NEW), replaced=True)


@pytest.mark.parametrize(("number", "error"), NUMBERS)
def test_a_folder_that_cannot_be_flushed_is_told_though_the_file_is_in_place(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch, number: int, error: HomeportError
) -> None:
    store(home, OLD)
    with monkeypatch.context() as patch, home.begin_upload(FILE) as upload:
        upload.write(NEW)
        patch.setattr(house.services.durability, "flush", Flush(number, failing_at=2))
        with expect(error):
            upload.commit()
    assert read(home) == NEW
    assert house.usage("ann") == house.recount("ann") == Used(1000, 1)


def test_a_folder_that_cannot_be_opened_is_told_though_the_file_is_in_place(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(home, OLD)
    with monkeypatch.context() as patch, home.begin_upload(FILE) as upload:
        upload.write(NEW)
        break_os(patch, "open", failing(errno.EMFILE, lambda path, *_, **__: path == b"."))
        with expect(StorageFailed("EMFILE")):
            upload.commit()
    assert read(home) == NEW
    assert house.usage("ann") == house.recount("ann") == Used(1000, 1)


def test_a_stage_that_cannot_be_looked_at_after_a_failed_rename_is_a_failure(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(home, OLD)
    with home.begin_upload(FILE) as upload:
        upload.write(NEW)
        with monkeypatch.context() as patch:
            break_renames(patch, errno.ENOSPC)
            break_os(patch, "stat", failing(errno.EIO))
            with expect(StorageFailed("EIO")):
                upload.commit()
    assert read(home) == OLD
    assert house.usage("ann") == house.recount("ann") == Used(1700, 2)


def test_a_mode_that_cannot_be_set_stops_the_replacement(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store(home, OLD)
    with home.begin_upload(FILE) as upload:
        upload.write(NEW)
        with monkeypatch.context() as patch:
            break_os(patch, "fchmod", failing(errno.EPERM, lambda _, mode: mode != 0o600))
            home.set_mode(FILE, 0o640)
            with expect(StorageFailed("EPERM")):
                upload.commit()
    assert read(home) == OLD


def test_a_ledger_that_fails_after_the_rename_is_told_and_the_file_stays(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(home, OLD)

    def fail(*_: object, **__: object) -> None:
        raise StateUnavailable("gone")

    with home.begin_upload(FILE) as upload:
        upload.write(NEW)
        with monkeypatch.context() as patch:
            patch.setattr(house.services.ledger, "refund", fail)
            with pytest.raises(StateUnavailable):
                upload.commit()
    assert read(home) == NEW
    with house.planting("ann"):
        assert house.recount("ann") == Used(1000, 1)


def test_an_upload_that_cannot_be_set_right_at_its_end_lets_go_all_the_same(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch, home.begin_upload(FILE):
        break_os(patch, "unlink", failing(errno.EIO))
    assert "account 1: a stage could not be set right: the server's disk failed (EIO)" in caplog.text
    store(home, NEW)
    assert read(home) == NEW


def test_the_oldest_upload_takes_the_room_of_the_youngest(house: House, home: Home) -> None:
    paths = [VirtualPath((name,)) for name in ("old", "middle", "young")]
    old, middle, young = (home.begin_upload(path) for path in paths)
    for upload in (old, middle, young):
        upload.write(b"x" * 3000)
    old.write(b"x" * 3000)
    for call in (lambda: young.write(b"x"), young.commit):
        with pytest.raises(QuotaExceeded):
            call()
    young.give_way(QuotaExceeded("bytes", 0, 0, 0))
    young.abort("refused")
    assert house.recount("ann") == Used(9000, 2)
    with pytest.raises(QuotaExceeded) as refusal:
        middle.write(b"x" * 1001)
    assert str(refusal.value) == "quota exceeded: 1001 more bytes wanted, 1000 of 10000 free"
    assert house.recount("ann") == Used(6000, 2)
    middle.abort("refused")
    assert house.recount("ann") == Used(6000, 1)
    old.write(b"x" * 4000)
    with pytest.raises(QuotaExceeded):
        old.write(b"x")
    old.abort("refused")
    assert house.recount("ann") == Used(0, 0)


def test_one_whose_room_cannot_be_freed_gives_way_all_the_same(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old, young = (home.begin_upload(VirtualPath((name,))) for name in ("old", "young"))
    young.write(b"x" * 6000)
    with monkeypatch.context() as patch:
        break_os(patch, "ftruncate", failing(errno.EIO))
        with pytest.raises(QuotaExceeded):
            old.write(b"x" * 5000)
    assert "account 1: a stage could not give its room back: the server's disk failed (EIO)" in caplog.text
    with pytest.raises(QuotaExceeded):
        young.commit()
    young.abort("refused")
    old.write(b"x" * 10_000)
    old.abort("enough")


def test_what_was_borrowed_from_the_old_file_is_cut_off_again(house: House, home: Home) -> None:
    store(home, b"o" * 6000)
    with home.begin_upload(FILE) as upload:
        upload.write(b"n" * 5000)
        assert (upload.offset, upload.moved, upload.size) == (0, 5000, 5000)
    assert (upload.offset, upload.moved, upload.size) == (0, 5000, 4000)
    assert house.usage("ann") == house.recount("ann") == Used(10_000, 2)
    assert read(home) == b"o" * 6000


def test_a_finished_upload_gives_no_way(home: Home) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(NEW)
        upload.commit()
        upload.give_way(QuotaExceeded("bytes", 0, 0, 0))
    assert read(home) == NEW


def test_a_download_goes_by_blocks_and_by_sendfile(home: Home) -> None:
    store(home, b"0123456789")
    with home.begin_download(FILE, 2) as download:
        assert (download.size, download.offset, download.position, download.remaining) == (10, 2, 2, 8)
        block = bytearray(3)
        assert download.read_into(block) == 3
        assert block == b"234"
        assert os.pread(download.fileno(), 4, download.position) == b"5678"
        download.advance(4)
        assert download.read_into(memoryview(block)) == 1
        assert block == b"934"
        assert download.read_into(block) == 0
        download.advance(0)
        download.finish()
    assert download.mtime_ns == home.stat(FILE).mtime_ns


def test_a_download_of_a_file_that_was_cut_says_so(house: House, home: Home) -> None:
    store(home, NEW)
    with home.begin_download(FILE) as download:
        with house.planting("ann") as folder:
            (folder / "file").write_bytes(b"n" * 10)
        assert download.read_into(bytearray(100)) == 10
        for late in (lambda: download.read_into(bytearray(10)), lambda: download.advance(0), download.finish):
            with pytest.raises(SourceChanged) as caught:
                late()
            assert str(caught.value) == "/file: the file was cut while it was being sent"


def test_a_download_from_a_failing_disk_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store(home, NEW)
    with monkeypatch.context() as patch, home.begin_download(FILE) as download:
        break_os(patch, "preadv", failing(errno.EIO))
        with expect(StorageFailed("EIO")):
            download.read_into(bytearray(10))


def test_no_descriptor_is_left(house: House, home: Home) -> None:
    def open_fds() -> int:
        links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        # Not the database and the logs, which other threads open when they like.
        roots = tuple(str(house.root / folder) for folder in ("homes", "stage"))
        return sum(os.path.lexists(link) and os.readlink(link).startswith(roots) for link in links)

    store(home, OLD)
    read(home)
    before = open_fds()
    for _ in range(3):
        store(home, NEW)
        read(home)
        home.begin_upload(FILE, append=True).abort("cut")
        home.begin_download(FILE).abort("cut")
        refused: list[Callable[[], object]] = [
            lambda: home.begin_upload(VirtualPath(("no", "no"))),
            lambda: home.begin_upload(FILE, offset=9999),
            lambda: home.begin_download(VirtualPath(("no",))),
            lambda: home.begin_download(FILE, 9999),
        ]
        for begin in refused:
            with pytest.raises(HomeportError):
                begin()
    assert open_fds() == before


def test_a_reservation_that_cannot_be_given_back_holds_nobody_up(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise StateUnavailable("gone")

    reservation = home.reserve(2000)
    with monkeypatch.context() as patch, home.begin_upload(FILE) as upload:
        upload.write(NEW)
        patch.setattr(reservation, "release", fail)
        upload.commit()
    assert "account 1: a reservation could not be given back: the state database is not available" in caplog.text
    reservation.release()
