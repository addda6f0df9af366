"""Many uploads committed at once: each ends as it would alone, and one that fails takes no other along."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.contract.house import House

from homeport.core import durability as durability_module
from homeport.core.durability import Durability, Policy
from homeport.core.errors import HomeportError, RightMissing, StorageFailed
from homeport.core.home import Home
from homeport.core.paths import ROOT
from homeport.core.rights import Rights
from homeport.core.transfer import Stored, Upload


@pytest.fixture(params=list(Policy))
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path, request.param) as house:
        house.account("ann")
        yield house
        house.prove_exact()


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        home.make_directory(ROOT.join("/d"))
        yield home


def sealed(home: Home, path: str, data: bytes) -> Upload:
    upload = home.begin_upload(ROOT.join(path))
    upload.write(data)
    upload.seal(expected_size=len(data))
    return upload


def texts(outcomes: Sequence[Stored | HomeportError]) -> list[str]:
    return [outcome.sha256[:4] if isinstance(outcome, Stored) else str(outcome) for outcome in outcomes]


def audited(house: House) -> str:
    house.services.audit.close()
    return (house.root / "audit.jsonl").read_text()


def test_all_stand_in_place_afterwards(house: House, home: Home) -> None:
    paths = [f"/{'d/' if number % 2 else ''}file{number}" for number in range(20)]
    uploads = [sealed(home, path, path.encode()) for path in paths]
    assert not list(house.home("ann").glob("file*"))
    outcomes = home.commit_together(uploads)
    assert [outcome.size for outcome in outcomes if isinstance(outcome, Stored)] == [len(path) for path in paths]
    for path in paths:
        assert (house.home("ann") / path[1:]).read_bytes() == path.encode()
        with home.begin_download(ROOT.join(path)) as download:
            assert download.sha256 is not None
    assert audited(house).count('"upload"') == 20
    assert home.commit_together([]) == []


def test_each_is_asked_for_its_own_rights(house: House, home: Home) -> None:
    with home.begin_upload(ROOT.join("/old")) as upload:
        upload.commit()
    uploads = [sealed(home, path, b"new") for path in ("/old", "/new")]
    house.change("ann", rights=Rights.ALL & ~Rights.OVERWRITE)
    home.refresh(house.accounts.get("ann"))
    refused, stored = home.commit_together(uploads)
    assert isinstance(refused, RightMissing)
    assert isinstance(stored, Stored)
    assert (house.home("ann") / "old").read_bytes() == b""
    assert home.partial_size(ROOT.join("/old")) == 3  # kept, as after any refusal at the end


def test_bytes_that_could_not_be_flushed_are_lost_alone(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    if house.services.durability.policy is Policy.NEVER:
        pytest.skip("nothing is flushed")
    uploads = [sealed(home, f"/file{number}", b"x") for number in range(9)]
    bad, flush = uploads[4].fileno(), os.fsync

    def failing(fd: int) -> None:
        if fd == bad:
            raise OSError(errno.EIO, "")
        flush(fd)

    monkeypatch.setattr(os, "fsync", failing)
    outcomes = home.commit_together(uploads)
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, StorageFailed)] == [4]
    assert sorted(path.name for path in house.home("ann").glob("file*")) == [f"file{n}" for n in range(9) if n != 4]
    assert home.partial_size(ROOT.join("/file4")) == 0


def test_a_folder_that_could_not_be_flushed_is_told_of_all_in_it(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    if house.services.durability.policy is Policy.NEVER:
        pytest.skip("nothing is flushed")
    uploads = [sealed(home, path, b"x") for path in ("/one", "/d/two", "/d/three")]
    bad = (house.home("ann") / "d").stat().st_ino
    real = Durability.flush_directory

    def failing(self: Durability, fd: int) -> None:
        if os.fstat(fd).st_ino == bad:
            raise StorageFailed("EIO")
        real(self, fd)

    monkeypatch.setattr(Durability, "flush_directory", failing)
    one, two, three = home.commit_together(uploads)
    assert isinstance(one, Stored)
    assert texts([two, three]) == ["the server's disk failed (EIO); try again, or tell the administrator"] * 2
    assert (house.home("ann") / "d" / "two").exists()  # in place already, as with a single one
    assert audited(house).count('"complete": false') + audited(house).count('"complete":false') == 2


def test_a_folder_that_cannot_be_kept_for_the_flush_is_told_of(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    if house.services.durability.policy is Policy.NEVER:
        pytest.skip("nothing is flushed")
    upload = sealed(home, "/one", b"x")

    def none_left(_: int) -> int:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setattr(os, "dup", none_left)
    (outcome,) = home.commit_together([upload])
    assert isinstance(outcome, HomeportError)


def test_a_file_may_be_as_old_as_its_sender_says(house: House, home: Home) -> None:
    upload = home.begin_upload(ROOT.join("/old"))
    upload.write(b"x")
    upload.modified_ns = 1_000_000_007
    upload.commit()
    assert (house.home("ann") / "old").stat().st_mtime_ns == 1_000_000_007
    with home.begin_download(ROOT.join("/old")) as download:
        assert download.sha256 is not None  # kept for that very time


@pytest.mark.parametrize(("modified_ns", "sentence"), [(1 << 96, "/old: the file system cannot hold this time")])
def test_a_time_that_no_file_can_have(home: Home, modified_ns: int, sentence: str) -> None:
    with home.begin_upload(ROOT.join("/old")) as upload:
        upload.modified_ns = modified_ns
        with pytest.raises(HomeportError) as caught:
            upload.seal()
    assert str(caught.value) == sentence


def test_a_time_that_cannot_be_set(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "")

    with home.begin_upload(ROOT.join("/old")) as upload:
        upload.modified_ns = 1
        monkeypatch.setattr(os, "utime", failing)
        with pytest.raises(StorageFailed):
            upload.seal()


def test_what_came_so_far_has_a_digest(home: Home) -> None:
    with home.begin_upload(ROOT.join("/a")) as upload:
        upload.write(b"abc")
        assert upload.sha256_so_far().startswith("ba7816bf")


def test_without_sync_file_range_files_are_flushed_all_the_same(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability_module, "_sync_file_range", lambda: None)
    outcomes = home.commit_together([sealed(home, path, b"x") for path in ("/one", "/two")])
    assert all(isinstance(outcome, Stored) for outcome in outcomes)


def test_the_calls_name_is_found_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = durability_module._sync_file_range.__wrapped__
    assert found() is not None
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert found() is None
