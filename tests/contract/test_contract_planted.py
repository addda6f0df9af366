"""Links, FIFOs, sockets and devices that stand in a home lead nowhere outside and hang nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest, Kind, refused

OUTSIDE = {
    "absolute": lambda home: "/etc",
    "climbing": lambda home: "../outside",
    "climbing far": lambda home: "../../../../../../../../etc",
    "through proc": lambda home: "/proc/self/root/etc",
    "own working folder": lambda home: "/proc/self/cwd",
    "absolute into the home": lambda home: str(home / "folder"),
}
# A loop leads nowhere at all; which of these it is called, the kernel decides.
REFUSALS = (Kind.OUTSIDE, Kind.NOT_FOUND)


@pytest.fixture
def linked(request: pytest.FixtureRequest, house: House, ann: HomeUnderTest) -> str:
    """A link in ann's home that leads out of it to a folder that holds `passwd`."""
    outside = house.home("ann").parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "passwd").write_bytes(b"secret")
    target: Callable[[Path], str] = request.param
    with house.planting("ann") as home:
        (home / "folder").mkdir()
        (home / "folder" / "passwd").write_bytes(b"inside")
        (home / "link").symlink_to(target(home))
    return "/link"


@pytest.mark.parametrize("linked", OUTSIDE.values(), ids=OUTSIDE.keys(), indirect=True)
def test_a_link_out_of_the_home_is_never_followed(ann: HomeUnderTest, house: House, linked: str) -> None:
    deeds: list[Callable[[], object]] = [
        lambda: ann.get(linked + "/passwd"),
        lambda: ann.put(linked + "/passwd", b"changed"),
        lambda: ann.put(linked + "/new", b"new"),
        lambda: ann.append(linked + "/passwd", b"more"),
        lambda: ann.list(linked),
        lambda: ann.stat(linked + "/passwd"),
        lambda: ann.mkdir(linked + "/new"),
        lambda: ann.rmdir(linked + "/new"),
        lambda: ann.remove(linked + "/passwd"),
        lambda: ann.rename(linked + "/passwd", "/stolen"),
        lambda: ann.rename("/folder/passwd", linked + "/passwd"),
        lambda: ann.set_mtime(linked + "/passwd", 0),
        lambda: ann.set_mode(linked + "/passwd", 0o777),
        lambda: ann.digest(linked + "/passwd"),
        lambda: ann.copy(linked + "/passwd", "/stolen"),
        lambda: ann.copy("/folder/passwd", linked + "/passwd"),
    ]
    for deed in deeds:
        with refused(*REFUSALS):
            deed()
    outside = house.home("ann").parent / "outside"
    assert (outside / "passwd").read_bytes() == b"secret"
    assert [entry.name for entry in outside.iterdir()] == ["passwd"]
    assert sorted(ann.list("/")) == ["folder", "link"]


@pytest.mark.parametrize("linked", OUTSIDE.values(), ids=OUTSIDE.keys(), indirect=True)
def test_a_link_out_of_the_home_can_be_removed_and_renamed(ann: HomeUnderTest, house: House, linked: str) -> None:
    ann.rename(linked, "/renamed")
    assert (house.home("ann") / "renamed").is_symlink()
    ann.remove("/renamed")
    assert ann.list("/") == ["folder"]


def test_a_link_to_a_file_outside_is_never_followed(ann: HomeUnderTest, house: House) -> None:
    outside = house.home("ann").parent / "outside"
    outside.write_bytes(b"secret")
    with house.planting("ann") as home:
        (home / "link").symlink_to("../outside")
        (home / "absolute").symlink_to(outside)
    for path in ("/link", "/absolute"):
        for deed in (ann.get, ann.digest, lambda path: ann.put(path, b"new"), lambda path: ann.append(path, b"more")):
            with refused(*REFUSALS):
                deed(path)
    assert outside.read_bytes() == b"secret"


def test_a_link_inside_the_home_works(ann: HomeUnderTest, house: House) -> None:
    ann.mkdir("/folder")
    ann.put("/folder/file", b"content")
    with house.planting("ann") as home:
        (home / "to-folder").symlink_to("folder")
        (home / "folder" / "to-file").symlink_to("../folder/file")
    assert ann.get("/to-folder/file") == b"content"
    assert ann.get("/folder/to-file") == b"content"
    assert sorted(ann.list("/to-folder")) == ["file", "to-file"]
    ann.put("/to-folder/more", b"more")
    assert ann.get("/folder/more") == b"more"


def test_an_upload_through_a_link_inside_the_home_replaces_what_it_leads_to(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", b"old")
    with house.planting("ann") as home:
        (home / "link").symlink_to("file")
    ann.put("/link", b"new")
    assert ann.get("/file") == b"new"
    assert (house.home("ann") / "link").is_symlink()


def test_a_deletion_removes_a_link_and_not_what_it_leads_to(ann: HomeUnderTest, house: House) -> None:
    ann.put("/file", b"content")
    with house.planting("ann") as home:
        (home / "link").symlink_to("file")
    ann.remove("/link")
    assert ann.get("/file") == b"content"


def test_links_that_loop_or_lead_nowhere_are_refused(ann: HomeUnderTest, house: House) -> None:
    with house.planting("ann") as home:
        (home / "loop").symlink_to("loop")
        (home / "nowhere").symlink_to("missing")
    for path in ("/loop", "/nowhere", "/loop/file", "/nowhere/file"):
        with refused(Kind.OUTSIDE, Kind.NOT_FOUND, Kind.INVALID):
            ann.get(path)
    assert sorted(ann.list("/")) == ["loop", "nowhere"]
    ann.remove("/loop")
    ann.remove("/nowhere")
    assert ann.list("/") == []


def plant_fifo(path: Path) -> None:
    os.mkfifo(path)


def plant_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(path.parent, os.O_PATH)
        try:
            server.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


def plant_device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize("plant", [plant_fifo, plant_socket, plant_device])
def test_what_is_no_file_is_listed_and_never_opened(
    ann: HomeUnderTest, house: House, plant: Callable[[Path], None]
) -> None:
    with house.planting("ann") as home:
        plant(home / "odd")
    deeds: list[Callable[[], object]] = [
        lambda: ann.get("/odd"),
        lambda: ann.put("/odd", b"data"),
        lambda: ann.append("/odd", b"data"),
        lambda: ann.digest("/odd"),
        lambda: ann.copy("/odd", "/copy"),
        lambda: ann.resume_size("/odd"),
    ]
    for deed in deeds:
        with refused(Kind.NOT_A_FILE):
            deed()
    assert ann.list("/") == ["odd"]
    ann.rename("/odd", "/renamed")
    ann.remove("/renamed")
    assert ann.list("/") == []
