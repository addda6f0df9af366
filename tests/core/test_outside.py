"""Changes behind Homeport's back: measured at any time, and after a recount the ledger's truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.house import House

from homeport.core.count import Count
from homeport.core.errors import QuotaExceeded
from homeport.core.home import Home
from homeport.core.paths import VirtualPath


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=10_000)
        yield house
        house.prove_exact()


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        yield home


def store(home: Home, name: str, size: int) -> None:
    with home.begin_upload(VirtualPath((name,))) as upload:
        upload.write(bytes(size))
        upload.commit()


def test_what_was_written_outside_counts_after_a_recount(home: Home) -> None:
    store(home, "ours", 1000)
    folder = home.account.home
    (folder / "theirs").write_bytes(bytes(6000))
    (folder / "link").symlink_to("/etc")
    assert home.outside.measure() == Count(7000, 3)
    assert home.outside.usage().used_bytes == 1000
    assert home.outside.recount().drift == Count(6000, 2)
    usage = home.outside.usage()
    assert (usage.used_bytes, usage.used_files) == (7000, 3)
    with pytest.raises(QuotaExceeded):
        store(home, "too much", 4000)


def test_unfinished_uploads_are_measured_too(home: Home) -> None:
    upload = home.begin_upload(VirtualPath(("half",)))
    upload.write(bytes(500))
    upload.abort("the client left")
    assert home.outside.measure() == Count(500, 1)
    assert home.outside.recount().drift == Count(0, 0)


def test_an_account_that_is_noted_is_recounted_when_its_process_has_died(house: House, home: Home) -> None:
    home.outside.note()
    assert home.account.id in house.services.ledger._leasing.book.leased_by([house.services.ledger.processes.id])


def test_the_disk_has_room(home: Home) -> None:
    assert 0 < home.outside.disk_free() < home.outside.disk_bytes()
