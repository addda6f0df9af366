from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.house import House

from homeport.core.errors import HomeportError
from homeport.core.home import Home
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.rights import Rights
from homeport.core.sessions import Sessions

FILE = VirtualPath(("a\nb",))
OTHER = VirtualPath(("other",))
FOLDER = VirtualPath(("folder",))
MISSING = VirtualPath(("missing",))
DIGEST = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=10)
        yield house


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        store(home)
        yield home


def store(home: Home) -> None:
    with home.begin_upload(FILE) as upload:
        upload.write(b"abc")
        upload.commit()


def events(house: House) -> list[dict[str, Any]]:
    """What was logged after the first upload, without what is the same in all."""
    house.services.audit.flush()
    lines = (house.root / "audit.jsonl").read_text().splitlines()[1:]
    same = {"time", "session", "account", "peer", "protocol", "seconds", "ascii"}
    return [{key: value for key, value in json.loads(line).items() if key not in same} for line in lines]


def test_whose_deed_it_was_is_told(house: House, home: Home) -> None:
    house.services.audit.flush()
    event = json.loads((house.root / "audit.jsonl").read_text())
    assert (event["account"], event["peer"], event["protocol"]) == ("ann", "127.0.0.1", "direct")
    assert event["seconds"] >= 0
    assert event["session"]


def test_a_home_opened_before_the_login_tells_of_the_account_too(house: House) -> None:
    ann = house.accounts.get("ann")
    record = Sessions().open("direct", "127.0.0.1")
    with Home(ann, house.services, record) as home:
        record.account = "ann"
        store(home)
    house.services.audit.flush()
    assert json.loads((house.root / "audit.jsonl").read_text())["account"] == "ann"


DEEDS: list[tuple[Callable[[Home], object], dict[str, object]]] = [
    (lambda home: home.make_directory(FOLDER), {"event": "mkdir", "path": "/folder"}),
    (lambda home: home.rename(FILE, OTHER), {"event": "rename", "path": "/a\nb", "target": "/other"}),
    (lambda home: home.copy(FILE, OTHER), {"event": "copy", "path": "/a\nb", "target": "/other"}),
    (lambda home: home.remove_file(FILE), {"event": "delete", "path": "/a\nb"}),
]


@pytest.mark.parametrize(("deed", "event"), DEEDS)
def test_every_deed_is_one_event(
    house: House, home: Home, deed: Callable[[Home], object], event: dict[str, object]
) -> None:
    deed(home)
    assert events(house) == [event]


def test_a_folder_that_goes_is_told(house: House, home: Home) -> None:
    home.make_directory(FOLDER)
    home.remove_directory(FOLDER)
    assert events(house)[1:] == [{"event": "rmdir", "path": "/folder"}]


def transfer(**members: object) -> dict[str, object]:
    return {"path": "/a\nb", "offset": 0, "complete": True, "sha256": None, "reason": None, **members}


def test_transfers_are_told_with_how_they_ended(house: House, home: Home) -> None:
    with home.begin_upload(FILE, append=True) as upload:
        upload.write(b"d")
        upload.abort("connection lost")
    with pytest.raises(HomeportError), home.begin_upload(FILE) as upload:
        upload.write(b"x" * 11)
    with home.begin_download(FILE, 1) as download:
        download.advance(2)
        download.finish()
    home.begin_download(FILE).abort("connection lost")
    store(home)
    lost = {"complete": False, "reason": "connection lost"}
    refusal = "quota exceeded: 11 more bytes wanted, 7 of 10 free"
    assert events(house) == [
        transfer(event="upload", bytes=1, size=4, offset=3, **lost),
        transfer(event="upload", bytes=0, size=0, complete=False, reason=refusal),
        transfer(event="download", bytes=2, size=3, offset=1),
        transfer(event="download", bytes=0, size=3, **lost),
        transfer(event="upload", bytes=3, size=3, sha256=DIGEST),
    ]


REFUSALS: list[tuple[Callable[[Home], object], str, str, str]] = [
    (lambda home: home.remove_file(MISSING), "delete", "/missing", "/missing: no such file or folder"),
    (lambda home: home.remove_directory(FILE), "rmdir", "/a\nb", "/a\nb: not a folder"),
    (lambda home: home.make_directory(FILE), "mkdir", "/a\nb", "/a\nb: exists already"),
    (lambda home: home.rename(MISSING, FILE), "rename", "/missing", "/missing: no such file or folder"),
    (lambda home: home.copy(MISSING, FILE), "copy", "/missing", "/missing: no such file or folder"),
    (lambda home: home.begin_download(MISSING), "download", "/missing", "/missing: no such file or folder"),
    (lambda home: home.begin_upload(ROOT), "upload", "/", "/: is a folder"),
    (lambda home: home.reserve(11), "reserve", "/", "quota exceeded: 11 more bytes wanted, 7 of 10 free"),
    (lambda home: home.set_mode(MISSING, 0), "set mode", "/missing", "/missing: no such file or folder"),
    (lambda home: home.set_modified(MISSING, 0), "set time", "/missing", "/missing: no such file or folder"),
]


@pytest.mark.parametrize(("deed", "name", "path", "reason"), REFUSALS)
def test_every_refusal_is_told(
    house: House, home: Home, deed: Callable[[Home], object], name: str, path: str, reason: str
) -> None:
    with pytest.raises(HomeportError):
        deed(home)
    assert events(house) == [{"event": "refused", "deed": name, "path": path, "reason": reason}]


LOOKS: list[tuple[str, Callable[[Home, VirtualPath], object]]] = [
    ("stat", lambda home, path: home.stat(path)),
    ("stat", lambda home, path: home.look(path)),
    ("size", lambda home, path: home.resume_size(path)),
    ("digest", lambda home, path: home.digest(path)),
    ("list", lambda home, path: home.list(path).__enter__()),
    ("list", lambda home, path: home.looks(path).__enter__()),
    ("list", lambda home, path: home.looks(path, len).__enter__()),
    ("list", lambda home, path: home.names(path).__enter__()),
]


@pytest.mark.parametrize(("name", "look"), LOOKS)
def test_looking_for_what_is_missing_is_everyday(
    house: House, home: Home, name: str, look: Callable[[Home, VirtualPath], object]
) -> None:
    with pytest.raises(HomeportError):
        look(home, MISSING)
    assert events(house) == []


@pytest.mark.parametrize(("name", "look"), LOOKS)
def test_looking_where_one_may_not_is_told(
    house: House, home: Home, name: str, look: Callable[[Home, VirtualPath], object]
) -> None:
    home.refresh(house.accounts.update("ann", rights=Rights.NONE))
    with pytest.raises(HomeportError):
        look(home, FILE)
    right = "read" if name == "digest" else "list"
    reason = f"/a\nb: this account has no right to {right} here"
    assert events(house) == [{"event": "refused", "deed": name, "path": "/a\nb", "reason": reason}]
