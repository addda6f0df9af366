"""What is left when an upload cannot start: nothing that was not there before."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.house import House
from tests.contract.subject import Used

from homeport.core import starting
from homeport.core.errors import (
    Busy,
    HomeportError,
    IsADirectory,
    NotADirectory,
    NotARegularFile,
    NotFound,
    OffsetPastEnd,
    QuotaExceeded,
    SourceChanged,
    StorageFailed,
)
from homeport.core.home import Home
from homeport.core.paths import ROOT, VirtualPath

FILE = VirtualPath(("file",))
DATA = bytes(range(200))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=1000, max_files=10)
        yield house
        house.prove_exact()


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        with home.begin_upload(FILE) as upload:
            upload.write(DATA)
            upload.commit()
        yield home


def read(home: Home) -> bytes:
    with home.begin_download(FILE) as download:
        buffer = bytearray(download.size)
        download.read_into(buffer)
        return bytes(buffer)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (ROOT, IsADirectory),
        (VirtualPath(("folder",)), IsADirectory),
        (VirtualPath(("fifo",)), NotARegularFile),
        (VirtualPath(("missing", "file")), NotFound),
        (VirtualPath(("file", "below")), NotADirectory),
        (VirtualPath(("to-file", "below")), NotADirectory),
    ],
)
def test_where_no_file_can_be_none_is_begun(
    house: House, home: Home, path: VirtualPath, error: type[HomeportError]
) -> None:
    with house.planting("ann") as folder:
        (folder / "folder").mkdir()
        os.mkfifo(folder / "fifo")
        (folder / "to-file").symlink_to("file")
    before = house.recount("ann")
    with pytest.raises(error):
        home.begin_upload(path)
    assert house.usage("ann") == house.recount("ann") == before


def test_a_disk_that_cannot_say_what_is_there_begins_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "lstat", errno_of(errno.EIO))
    with pytest.raises(StorageFailed):
        home.begin_upload(FILE)


def test_a_busy_path_is_refused_and_nothing_is_charged(house: House, home: Home) -> None:
    with home.begin_upload(FILE):
        before = house.usage("ann")
        with pytest.raises(Busy) as caught:
            home.begin_upload(FILE)
        assert str(caught.value) == "/file: another upload of this file is under way; try again when it has ended"
        assert house.usage("ann") == before


def test_an_entry_too_many_leaves_no_stage(house: House, home: Home) -> None:
    house.change("ann", max_files=1)
    with pytest.raises(QuotaExceeded) as caught:
        home.begin_upload(VirtualPath(("other",)))
    assert str(caught.value) == "quota exceeded: 1 more files wanted, 0 of 1 free"
    assert house.recount("ann") == Used(200, 1)


def test_a_restart_past_the_end_leaves_no_stage(house: House, home: Home) -> None:
    with pytest.raises(OffsetPastEnd):
        home.begin_upload(FILE, offset=201)
    assert house.recount("ann") == Used(200, 1)


@pytest.mark.parametrize(("size", "fits"), [(0, True), (800, True), (1000, True), (1001, False)])
def test_an_announced_size_is_refused_before_any_byte(house: House, home: Home, size: int, fits: bool) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(DATA)
    if fits:
        home.begin_upload(FILE, expected_size=size).abort("enough")
        return
    with pytest.raises(QuotaExceeded) as caught:
        home.begin_upload(FILE, expected_size=size)
    assert str(caught.value) == "quota exceeded: 1001 more bytes wanted, 1000 of 1000 free"
    assert home.resume_size(FILE) == 200
    assert house.recount("ann") == Used(400, 2)


def test_an_announced_size_counts_what_was_reserved(home: Home) -> None:
    home.reserve(800)
    home.begin_upload(FILE, expected_size=1000).abort("enough")
    home.begin_upload(VirtualPath(("new",)), expected_size=800).abort("enough")


def test_an_announced_size_means_nothing_without_a_quota(house: House, home: Home) -> None:
    house.change("ann", quota_bytes=None)
    home.begin_upload(FILE, expected_size=10**15).abort("enough")


def test_a_reservation_outlives_no_refusal(house: House, home: Home) -> None:
    home.reserve(800)
    with pytest.raises(OffsetPastEnd):
        home.begin_upload(FILE, offset=999)
    assert house.usage("ann") == Used(200, 1)


def errno_of(number: int) -> Any:
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, "")

    return fail


@pytest.mark.parametrize("number", sorted(starting._CANNOT_COPY))
def test_a_prefix_is_copied_by_hand_where_the_kernel_cannot(
    home: Home, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "copy_file_range", errno_of(number))
    monkeypatch.setattr(starting, "_BLOCK_BYTES", 64)
    with home.begin_upload(FILE, append=True) as upload:
        upload.write(b"more")
        upload.commit()
    assert read(home) == DATA + b"more"


def test_a_prefix_is_copied_in_steps(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "COPY_BYTES", 64)
    with home.begin_upload(FILE, offset=199) as upload:
        upload.write(b"more")
        upload.commit()
    assert read(home) == DATA[:199] + b"more"


def test_a_prefix_that_cannot_be_copied_leaves_no_stage(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", errno_of(errno.EIO))
    with pytest.raises(StorageFailed):
        home.begin_upload(FILE, append=True)
    assert house.recount("ann") == Used(200, 1)


def test_a_prefix_that_cannot_be_copied_takes_the_older_stage_with_it(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(DATA[:50])
    monkeypatch.setattr(os, "copy_file_range", errno_of(errno.EIO))
    with pytest.raises(StorageFailed):
        home.begin_upload(FILE, append=True)
    assert house.usage("ann") == house.recount("ann") == Used(200, 1)
    assert read(home) == DATA


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_file_that_shrinks_while_its_prefix_is_copied(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch, by_hand: bool
) -> None:
    monkeypatch.setattr(os, "copy_file_range", errno_of(errno.EXDEV) if by_hand else lambda *_: 0)
    monkeypatch.setattr(os, "pread", lambda *_: b"")
    with pytest.raises(SourceChanged):
        home.begin_upload(FILE, append=True)
    assert house.recount("ann") == Used(200, 1)


def test_a_stage_that_cannot_be_read_again_is_kept(house: House, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(DATA[:50])
    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", errno_of(errno.EIO))
        with pytest.raises(StorageFailed):
            home.begin_upload(FILE, offset=50)
    assert house.recount("ann") == Used(250, 2)
    home.begin_upload(FILE, offset=50).abort("enough")
