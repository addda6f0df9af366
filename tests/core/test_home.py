"""What the contract suite cannot see of a home: sessions, kept digests, reservations, limits that change."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.house import House
from tests.contract.subject import Used

from homeport.core import digests
from homeport.core.digests import ATTRIBUTE
from homeport.core.errors import (
    AlreadyExists,
    HomeUnavailable,
    InvalidPath,
    IsADirectory,
    NotADirectory,
    NotARegularFile,
    NotFound,
    OffsetPastEnd,
    OutsideHome,
    QuotaExceeded,
    RightMissing,
    StageElsewhere,
    StorageFull,
)
from homeport.core.home import Home
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.rights import Rights

FILE = VirtualPath(("file",))
FOLDER = VirtualPath(("folder",))
DATA = b"some content"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=10_000)
        yield house
        house.prove_exact()


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        store(home, FILE, DATA)
        home.make_directory(FOLDER)
        yield home


def store(home: Home, path: VirtualPath, data: bytes) -> None:
    with home.begin_upload(path) as upload:
        upload.write(data)
        upload.commit()


def test_a_home_that_vanished_is_not_available(house: House) -> None:
    house.home("ann").rmdir()
    with pytest.raises(HomeUnavailable) as caught:
        house.open_home("ann")
    assert str(caught.value) == "this account's home is not available; tell the administrator"
    house.home("ann").mkdir()


def test_a_home_on_another_file_system_than_the_stages_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(_: object) -> None:
        raise StageElsewhere

    monkeypatch.setattr(house.services.stages, "require_beside", elsewhere)
    with pytest.raises(StageElsewhere):
        house.open_home("ann")


def test_rights_that_change_hold_from_the_next_deed_on(house: House, home: Home) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(b"new")
        home.refresh(house.accounts.update("ann", rights=Rights.READ_ONLY))
        assert home.account.rights == Rights.READ_ONLY
        with pytest.raises(RightMissing) as caught:
            upload.commit()
    assert str(caught.value) == "/file: this account has no right to overwrite here"
    with pytest.raises(RightMissing):
        home.remove_file(FILE)
    assert home.stat(FILE).size == len(DATA)


def test_links_are_looked_at_or_through(house: House, home: Home) -> None:
    with house.planting("ann") as folder:
        (folder / "link").symlink_to("file")
    link = VirtualPath(("link",))
    assert home.stat(link).size == len(DATA)
    assert home.stat(link, follow=False).kind.value == "link"
    with home.list(ROOT) as entries:
        assert sorted((entry.name, entry.kind.value) for entry in entries) == [
            ("file", "file"),
            ("folder", "directory"),
            ("link", "file"),
        ]
    with home.names(ROOT) as names:
        assert sorted(names) == ["file", "folder", "link"]
    with home.looks(ROOT, "link".__eq__) as chosen:
        assert [(name, found.st_size) for name, found in filter(None, chosen)] == [("link", len(DATA))]
    with home.looks(ROOT) as looks:
        assert dict(filter(None, looks))["link"] == home.look(link) == home.look(FILE)


@pytest.mark.parametrize(
    ("rights", "size"),
    [(Rights.LIST, None), (Rights.WRITE, 5), (Rights.LIST | Rights.WRITE, 5), (Rights.ALL, 5)],
)
def test_a_stage_is_shown_to_who_may_go_on_with_it(house: House, home: Home, rights: Rights, size: int | None) -> None:
    stage = VirtualPath(("stage",))
    with home.begin_upload(stage) as upload:
        upload.write(b"12345")
    home.refresh(house.accounts.update("ann", rights=rights))
    if size is None:
        with pytest.raises(NotFound):
            home.resume_size(stage)
    else:
        assert home.resume_size(stage) == size


def test_a_whole_files_size_needs_the_right_to_list(house: House, home: Home) -> None:
    home.refresh(house.accounts.update("ann", rights=Rights.WRITE))
    with pytest.raises(RightMissing) as caught:
        home.resume_size(FILE)
    assert str(caught.value) == "/file: this account has no right to list here"
    home.refresh(house.accounts.update("ann", rights=Rights.READ))
    with pytest.raises(RightMissing):
        home.resume_size(FILE)


def test_what_is_kept_of_an_upload_that_will_replace_a_file_is_told_apart(house: House, home: Home) -> None:
    assert home.partial_size(FILE) == 0
    with home.begin_upload(FILE) as upload:
        upload.write(b"123")
    assert home.partial_size(FILE) == 3
    home.refresh(house.accounts.update("ann", rights=Rights.READ_ONLY))
    with pytest.raises(RightMissing):
        home.partial_size(FILE)


def test_only_files_have_a_size_to_go_on_from(house: House, home: Home) -> None:
    with house.planting("ann") as folder:
        os.mkfifo(folder / "fifo")
    with pytest.raises(IsADirectory):
        home.resume_size(FOLDER)
    with pytest.raises(NotARegularFile):
        home.resume_size(VirtualPath(("fifo",)))


@pytest.mark.parametrize(
    ("start", "end", "part"), [(0, None, DATA), (0, 12, DATA), (0, 4, b"some"), (5, None, b"content"), (5, 5, b"")]
)
@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_digests_of_parts(home: Home, algorithm: str, start: int, end: int | None, part: bytes) -> None:
    expected = hashlib.new(algorithm.replace("-", ""), part).hexdigest()
    assert home.digest(FILE, algorithm, start, end) == expected


@pytest.mark.parametrize(("start", "end", "offset"), [(13, None, 13), (0, 13, 13), (13, 14, 14)])
def test_digests_behind_the_end_are_refused(home: Home, start: int, end: int | None, offset: int) -> None:
    with pytest.raises(OffsetPastEnd) as caught:
        home.digest(FILE, "SHA-256", start, end)
    assert str(caught.value) == f"/file: cannot restart at byte {offset}, only 12 bytes are there"


def test_a_kept_digest_answers_for_the_file(house: House, home: Home) -> None:
    path = house.home("ann") / "file"
    kept = os.getxattr(path, ATTRIBUTE)
    assert kept.endswith(hashlib.sha256(DATA).digest())
    os.setxattr(path, ATTRIBUTE, kept[:-32] + b"\xab" * 32)
    assert home.digest(FILE) == "ab" * 32


def test_a_digest_that_had_to_be_computed_is_kept(house: House, home: Home) -> None:
    path = house.home("ann") / "file"
    os.removexattr(path, ATTRIBUTE)
    assert home.digest(FILE) == hashlib.sha256(DATA).hexdigest()
    assert os.getxattr(path, ATTRIBUTE).endswith(hashlib.sha256(DATA).digest())


def test_a_digest_of_a_file_that_changes_meanwhile_is_not_kept(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = house.home("ann") / "file"
    os.removexattr(path, ATTRIBUTE)
    real = digests.digest_of

    def digest_of(fd: int) -> str:
        digest = real(fd)
        with house.planting("ann"):
            path.write_bytes(b"something else")
        return digest

    monkeypatch.setattr("homeport.core.home.digest_of", digest_of)
    assert home.digest(FILE) == hashlib.sha256(DATA).hexdigest()
    with pytest.raises(OSError, match="No data available"):
        os.getxattr(path, ATTRIBUTE)


def test_a_kept_digest_survives_a_new_time(house: House, home: Home) -> None:
    assert home.set_modified(FILE, 10**18).mtime_ns == 10**18
    assert os.getxattr(house.home("ann") / "file", ATTRIBUTE)[8:16] == (10**18).to_bytes(8, "big")
    assert home.set_modified(FOLDER, 10**18).mtime_ns == 10**18


def test_a_file_replaced_while_its_time_is_set_takes_no_digest_over(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = home._jail
    real = jail.set_times

    def replaced_first(path: VirtualPath, mtime_ns: int) -> object:
        with house.planting("ann") as folder:
            (folder / "planted").write_bytes(b"other")
            (folder / "planted").rename(folder / "file")
        return real(path, mtime_ns)

    monkeypatch.setattr(jail, "set_times", replaced_first)
    home.set_modified(FILE, 10**18)
    assert home.digest(FILE) == hashlib.sha256(b"other").hexdigest()


def test_usage_and_free_room(house: House, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = home.usage()
    assert (usage.used_bytes, usage.used_files, usage.quota_bytes) == (12, 2, 10_000)
    assert home.free_bytes() == 10_000 - 12
    house.change("ann", quota_bytes=5)
    assert home.free_bytes() == 0
    house.change("ann", quota_bytes=None)
    assert home.free_bytes() > 0
    monkeypatch.setattr(home._jail, "free_bytes", lambda: 7)
    assert home.free_bytes() == 7
    house.change("ann", quota_bytes=10_000)
    assert home.free_bytes() == 7


def test_what_is_new_replaces_nothing(home: Home) -> None:
    with pytest.raises(AlreadyExists):
        home.begin_upload(FILE, new=True)
    other = VirtualPath(("other",))
    with home.begin_upload(other, new=True) as upload:
        upload.write(b"slow")
        home.copy(FILE, VirtualPath(("copy",)))
        home.rename(VirtualPath(("copy",)), other)
        with pytest.raises(AlreadyExists) as caught:
            upload.commit()
    assert str(caught.value) == "/other: exists already"
    assert home.stat(other).size == len(DATA)


def test_a_unique_name_is_the_wished_one_where_that_is_free(home: Home) -> None:
    wished = FOLDER.child("name")
    assert home.unique_name(wished) == wished


@pytest.mark.parametrize("path", [FILE, ROOT, VirtualPath(("stage",))])
def test_a_unique_name_avoids_what_is_there_or_coming(home: Home, path: VirtualPath) -> None:
    with home.begin_upload(VirtualPath(("stage",))) as upload:
        upload.write(b"x")
        name = home.unique_name(path)
        assert name.parent == ROOT
        assert name != path
        assert name.name.startswith(path.name)
        assert not name.name.startswith(".")


def test_a_unique_name_is_not_sought_for_ever(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "same")
    store(home, VirtualPath(("file.same",)), b"")
    with pytest.raises(AlreadyExists):
        home.unique_name(FILE)


def test_a_unique_name_fits_the_disk(home: Home) -> None:
    for letter in ("n", "\u00e9", "\U0001f3e0"):
        long = VirtualPath((letter * (255 // len(letter.encode())),))
        store(home, long, b"")
        store(home, home.unique_name(long), b"")


def test_a_new_reservation_takes_the_place_of_the_old_one(house: House, home: Home) -> None:
    home.reserve(9000)
    home.reserve(100)
    assert house.usage("ann") == Used(112, 2)
    with pytest.raises(QuotaExceeded):
        home.reserve(9989)
    assert house.usage("ann") == Used(12, 2)


def test_without_a_quota_no_more_can_be_reserved_than_the_disk_has(house: House, home: Home) -> None:
    house.change("ann", quota_bytes=None)
    home.refresh(house.accounts.get("ann"))
    for size in (1 << 62, (1 << 63) - 1):
        with pytest.raises(StorageFull):
            home.reserve(size)
    assert house.usage("ann") == Used(12, 2)


def test_a_reservation_can_be_released(house: House, home: Home) -> None:
    home.reserve(9000).release()
    assert house.usage("ann") == Used(12, 2)


def test_renames_over_files_need_the_right_to_overwrite(house: House, home: Home) -> None:
    home.copy(FILE, VirtualPath(("other",)))
    home.refresh(house.accounts.update("ann", rights=Rights.ALL & ~Rights.OVERWRITE))
    with pytest.raises(RightMissing) as caught:
        home.rename(FILE, VirtualPath(("other",)))
    assert str(caught.value) == "/other: this account has no right to overwrite here"


def test_what_goes_away_costs_nothing_any_more(house: House, home: Home) -> None:
    other = FOLDER.child("other")
    assert home.copy(FILE, other).sha256 == hashlib.sha256(DATA).hexdigest()
    home.rename(other, FILE)
    home.remove_directory(FOLDER)
    home.remove_file(FILE)
    assert house.usage("ann") == Used(0, 0)


@pytest.mark.parametrize("rights", [Rights.LIST | Rights.READ, Rights.NONE])
def test_who_may_not_store_is_told_so_before_anything_else(house: House, home: Home, rights: Rights) -> None:
    home.refresh(house.accounts.update("ann", rights=rights))
    with pytest.raises(RightMissing) as caught:
        home.begin_upload(VirtualPath(("missing", "file")))
    assert str(caught.value) == "/missing/file: this account has no right to write here"


def test_a_folder_that_cannot_be_made_costs_nothing(house: House, home: Home) -> None:
    for path, error in ((FOLDER, AlreadyExists), (FILE.child("x"), NotADirectory), (ROOT, AlreadyExists)):
        with pytest.raises(error):
            home.make_directory(path)
    assert house.usage("ann") == Used(12, 2)


def test_an_ended_home_does_nothing(house: House) -> None:
    home = house.open_home("ann")
    home.close()
    with pytest.raises(HomeUnavailable):
        home.stat(ROOT)


def test_refused_times_and_modes_change_nothing(house: House, home: Home) -> None:
    with house.planting("ann") as folder:
        (folder / "out").symlink_to("/etc/passwd")
    before = home.stat(FILE)
    with pytest.raises((InvalidPath, OutsideHome)):
        home.set_modified(VirtualPath(("out",)), 0)
    with pytest.raises(OutsideHome):
        home.set_mode(VirtualPath(("out",)), 0o777)
    assert home.stat(FILE) == before


def test_a_kept_digest_costs_no_reading(house: House, home: Home) -> None:
    stored, bare = ROOT.join("/stored"), ROOT.join("/bare")
    store(home, stored, b"content")
    (house.home("ann") / "bare").write_bytes(b"content")
    assert home.kept_digest(stored) == hashlib.sha256(b"content").hexdigest()
    assert home.kept_digest(bare) is None
    assert home.kept_digest(ROOT) is None
    assert home.kept_digest(ROOT.join("/nowhere")) is None
    house.change("ann", rights=Rights.ALL & ~Rights.READ)
    home.refresh(house.accounts.get("ann"))
    assert home.kept_digest(stored) is None
    (house.home("ann") / "bare").unlink()


def test_room_that_was_reserved_is_given_back_when_an_upload_cannot_begin(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = home.usage().used_bytes
    home.reserve(1000)
    monkeypatch.setattr(home, "_upload", interrupted)
    with pytest.raises(KeyboardInterrupt):
        home.begin_upload(VirtualPath(("x",)))
    assert home.usage().used_bytes == before
