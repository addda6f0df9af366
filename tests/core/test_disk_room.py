"""The reserve of a disk: who asks, how often the disk is looked at, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.contract.house import House
from tests.contract.subject import Used

from homeport.core.disk_room import DiskRoom
from homeport.core.errors import StorageFailed, StorageFull
from homeport.core.paths import VirtualPath

FILE = VirtualPath(("file",))


class Disk:
    """A file system with `free` bytes; counts how often it was looked at."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.looks = 0
        self.now = 0.0

    def statvfs(self, _: int) -> Any:
        self.looks += 1
        return SimpleNamespace(f_bavail=self.free // 10, f_frsize=10)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(1000)
    monkeypatch.setattr(os, "fstatvfs", disk.statvfs)
    return disk


def test_what_would_leave_too_little_is_refused(disk: Disk) -> None:
    room = DiskRoom(-1, 400, clock=lambda: disk.now)
    room.take(600)
    disk.free = 400
    room.take(0)
    with pytest.raises(StorageFull):
        room.take(1)
    disk.free = 390
    disk.now = 1.0
    with pytest.raises(StorageFull):
        room.take(0)


def test_the_disk_is_looked_at_once_a_second_and_when_it_is_short(disk: Disk) -> None:
    room = DiskRoom(-1, 400, clock=lambda: disk.now)
    for _ in range(6):
        room.take(100)
    assert disk.looks == 1
    room.take(100)  # what was written may have replaced something
    assert disk.looks == 2
    disk.now = 1.0
    room.take(0)
    assert disk.looks == 3


def test_without_a_reserve_the_disk_is_not_looked_at(disk: Disk) -> None:
    DiskRoom(-1, 0).take(10**15)
    assert disk.looks == 0


def test_a_disk_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fstatvfs", fail)
    with pytest.raises(StorageFailed):
        DiskRoom(-1, 1).take(0)


def test_uploads_stop_at_the_reserve_and_keep_what_came(tmp_path: Path, disk: Disk) -> None:
    with House.built(tmp_path) as house:
        house.account("ann")
        house.services.stages.disk = DiskRoom(-1, 400, clock=lambda: disk.now)
        with house.open_home("ann") as home:
            with home.begin_upload(FILE) as upload:
                upload.write(b"x" * 600)
                disk.free = 400
                with pytest.raises(StorageFull):
                    upload.write(b"x")
            assert home.resume_size(FILE) == 600
            disk.free, disk.now = 390, 1.0
            with pytest.raises(StorageFull):
                home.begin_upload(FILE, offset=600)
            disk.free = 1000
            with home.begin_upload(FILE, offset=600) as upload:
                upload.commit()
            disk.free, disk.now = 999, 2.0
            with pytest.raises(StorageFull):
                home.begin_upload(FILE, append=True)
            assert house.usage("ann") == house.recount("ann") == Used(600, 1)
            home.remove_file(FILE)
