"""Each deed needs its own rights, all of them, and no other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest, Kind, Refused, refused

from homeport.core.rights import Rights

R = Rights
Deed = Callable[[HomeUnderTest], object]

# What is there before: /file, /other, /folder, and a cut upload of /stage.
DEEDS: dict[str, tuple[Rights, Deed]] = {
    "list": (R.LIST, lambda home: home.list("/")),
    "stat": (R.LIST, lambda home: home.stat("/file")),
    "download": (R.READ, lambda home: home.get("/file")),
    "digest": (R.READ, lambda home: home.digest("/file")),
    "store anew": (R.WRITE, lambda home: home.put("/new", b"new")),
    "append anew": (R.WRITE, lambda home: home.append("/new", b"new")),
    "continue a stage": (R.WRITE, lambda home: home.put_from("/stage", 3, b"more")),
    "replace": (R.OVERWRITE, lambda home: home.put("/file", b"new")),
    "append": (R.OVERWRITE, lambda home: home.append("/file", b"more")),
    "restart": (R.OVERWRITE, lambda home: home.put_from("/file", 2, b"more")),
    "rename": (R.RENAME, lambda home: home.rename("/file", "/new")),
    "rename over": (R.RENAME | R.OVERWRITE, lambda home: home.rename("/file", "/other")),
    "delete": (R.DELETE, lambda home: home.remove("/file")),
    "remove folder": (R.DELETE, lambda home: home.rmdir("/folder")),
    "make folder": (R.MKDIR, lambda home: home.mkdir("/new")),
    "set time": (R.CHANGE, lambda home: home.set_mtime("/file", 0)),
    "set mode": (R.CHANGE, lambda home: home.set_mode("/file", 0o600)),
    "copy": (R.READ | R.WRITE, lambda home: home.copy("/file", "/new")),
    "copy over": (R.READ | R.OVERWRITE, lambda home: home.copy("/file", "/other")),
}
EVERY_RIGHT = [right for right in Rights if right.name is not None]
MISSING = [(deed, right) for deed, (needed, _) in DEEDS.items() for right in EVERY_RIGHT if right in needed]


@pytest.fixture
def furnished(house: House) -> House:
    house.account("eve")
    eve = house.connect("eve")
    eve.put("/file", b"content")
    eve.put("/other", b"other")
    eve.mkdir("/folder")
    upload = eve.begin_put("/stage")
    upload.send(b"cut")
    upload.cut()
    eve.close()
    return house


@pytest.mark.parametrize("deed", DEEDS)
def test_a_deed_needs_no_more_than_its_rights(furnished: House, deed: str) -> None:
    needed, act = DEEDS[deed]
    furnished.change("eve", rights=needed)
    act(furnished.connect("eve"))


@pytest.mark.parametrize(("deed", "right"), MISSING, ids=[f"{deed} without {right.name}" for deed, right in MISSING])
def test_a_deed_without_one_of_its_rights_is_refused_and_changes_nothing(
    furnished: House, deed: str, right: Rights
) -> None:
    before = furnished.snapshot("eve")
    furnished.change("eve", rights=R.ALL & ~right)
    client = furnished.connect("eve")
    with refused(Kind.DENIED):
        DEEDS[deed][1](client)
    assert furnished.snapshot("eve") == before


def test_without_rights_nothing_is_told(furnished: House) -> None:
    furnished.change("eve", rights=R.NONE)
    client = furnished.connect("eve")
    for _, act in DEEDS.values():
        with refused(Kind.DENIED):
            act(client)


def test_an_account_that_may_not_replace_cannot_by_a_race(furnished: House) -> None:
    furnished.change("eve", rights=R.WRITE | R.LIST | R.READ)
    client = furnished.connect("eve")
    upload = client.begin_put("/new")
    upload.send(b"slow")
    with furnished.planting("eve") as home:
        (home / "new").write_bytes(b"quick")
    with refused(Kind.DENIED):
        upload.finish()
    assert client.get("/new") == b"quick"


def test_upload_only_accounts_store_and_list_and_do_no_more(furnished: House) -> None:
    furnished.change("eve", rights=R.UPLOAD_ONLY)
    client = furnished.connect("eve")
    client.put("/new", b"new")
    client.mkdir("/dir")
    assert "new" in client.list("/")
    for act in (lambda: client.get("/new"), lambda: client.put("/new", b"x"), lambda: client.remove("/new")):
        with refused(Kind.DENIED):
            act()


def test_read_only_accounts_change_nothing(furnished: House) -> None:
    before = furnished.snapshot("eve")
    furnished.change("eve", rights=R.READ_ONLY)
    client = furnished.connect("eve")
    for _, act in DEEDS.values():
        with suppress(Refused):
            act(client)
    assert furnished.snapshot("eve") == before
