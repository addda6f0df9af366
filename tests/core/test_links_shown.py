"""Links as they are, and renames that replace nothing: what SFTP shows and asks of a home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.house import House

from homeport.core.entries import Kind
from homeport.core.errors import AlreadyExists, InvalidPath, NotFound, OutsideHome, RightMissing, RootRefused
from homeport.core.home import Home
from homeport.core.paths import ROOT
from homeport.core.rights import Rights


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path) as house:
        house.account("ann")
        with house.planting("ann") as home:
            (home / "folder").mkdir()
            (home / "file").write_bytes(b"x")
            (home / "other").write_bytes(b"y")
        yield house
        house.prove_exact()


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        yield home


@pytest.mark.parametrize("target", ["file", "./file", "missing", "folder/../file", "folder//x", b"\xff"])
def test_a_link_within_the_home_says_where_it_leads(home: Home, house: House, target: str | bytes) -> None:
    text = target if isinstance(target, str) else target.decode("utf-8", "surrogateescape")
    with house.planting("ann") as folder:
        (folder / "link").symlink_to(text)
    assert home.read_link(ROOT.child("link")) == text


@pytest.mark.parametrize("target", ["/etc/passwd", "/", "..", "../other", "folder/../../etc", "./.."])
def test_a_link_that_says_a_way_out_says_nothing(home: Home, house: House, target: str) -> None:
    with house.planting("ann") as folder:
        (folder / "link").symlink_to(target)
    with pytest.raises(OutsideHome, match=r"^/link: a link leads out of the home$"):
        home.read_link(ROOT.child("link"))


def test_a_link_in_a_folder_may_lead_up_to_the_root(home: Home, house: House) -> None:
    with house.planting("ann") as folder:
        (folder / "folder/link").symlink_to("../file")
    assert home.read_link(ROOT.join("folder/link")) == "../file"


def test_what_is_no_link_says_so(home: Home) -> None:
    with pytest.raises(InvalidPath, match=r"^/file: is no link$"):
        home.read_link(ROOT.child("file"))
    with pytest.raises(NotFound):
        home.read_link(ROOT.child("missing"))
    with pytest.raises(RootRefused):
        home.read_link(ROOT)


def test_who_may_not_look_is_not_told(house: House) -> None:
    house.account("blind", rights=Rights.WRITE)
    with house.open_home("blind") as home, pytest.raises(RightMissing):
        home.read_link(ROOT.child("link"))


def test_a_listing_shows_links_as_links_where_that_is_wanted(home: Home, house: House) -> None:
    with house.planting("ann") as folder:
        (folder / "link").symlink_to("folder")
    for through_links, kind in ((True, Kind.DIRECTORY), (False, Kind.LINK)):
        with home.list(ROOT, through_links=through_links) as entries:
            assert {entry.name: entry.kind for entry in entries}["link"] is kind


def test_a_rename_replaces_nothing_where_that_is_wanted(home: Home, house: House) -> None:
    with pytest.raises(AlreadyExists, match=r"^/other: exists already$"):
        home.rename(ROOT.child("file"), ROOT.child("other"), replace=False)
    home.rename(ROOT.child("file"), ROOT.child("new"), replace=False)
    home.rename(ROOT.child("new"), ROOT.child("other"))
    assert (house.home("ann") / "other").read_bytes() == b"x"
