"""A hostile tree goes, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from homeport.core.removal import remove_tree


def test_a_tree_of_everything_goes_and_what_its_links_name_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").write_text("x")
    (top / "a" / "b" / "to folder").symlink_to(outside)
    (top / "to file").symlink_to(outside / "kept")
    (top / os.fsdecode(b"\xff\n")).mkdir()
    os.mkfifo(top / "a" / "fifo")
    os.link(outside / "kept", top / "hard")
    remove_tree(top)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside"]
    assert (outside / "kept").read_text() == "kept"


def test_a_tree_of_5000_levels_goes(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    remove_tree(top)
    assert not top.exists()


def test_folders_without_rights_go(tmp_path: Path) -> None:
    """The tree belongs to an ordinary user, because root may do everything."""
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").write_text("x")
    was = os.geteuid()
    if was == 0:
        for above in (tmp_path, *tmp_path.parents[:3]):
            above.chmod(above.stat().st_mode | 0o711)
        for path in (tmp_path, top, top / "a", top / "a" / "b"):
            os.chown(path, 65534, -1)
    for path in (top / "a" / "b", top / "a", top):
        path.chmod(0)
    os.seteuid(65534 if was == 0 else was)
    try:
        remove_tree(top)
    finally:
        os.seteuid(was)
    assert not top.exists()


def test_what_is_gone_already_is_removed(tmp_path: Path) -> None:
    remove_tree(tmp_path / "absent")


def test_a_link_in_place_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    with pytest.raises(NotADirectoryError):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "kept").exists()


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    (tmp_path / "top" / "a" / "b").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    remove_tree(tmp_path / "top")
    assert len(os.listdir("/proc/self/fd")) == before
