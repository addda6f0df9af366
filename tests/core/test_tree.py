from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.jails import nothing_left_open, open_descriptors

from homeport.core.count import Count
from homeport.core.tree import count_below, mount_of, walk


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    with nothing_left_open():
        yield fd
    os.close(fd)


def deepen(folder: Path, levels: int) -> None:
    """A chain of folders `d`, each with a file of one byte and an empty folder beside the next."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=fd)
        os.mkdir("e", dir_fd=fd)
        file = os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        os.write(file, b"x")
        os.close(file)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def test_everything_below_is_counted_and_no_link_is_entered(top: int, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "\udcff").write_bytes(b"four")
    (tmp_path / "link").symlink_to("/")
    os.mkfifo(tmp_path / "fifo")
    os.link(tmp_path / "a" / "b" / "\udcff", tmp_path / "twin")
    assert count_below(top) == Count(8, 6)


@pytest.mark.parametrize("levels", [63, 64, 65, 700])
def test_any_depth_is_walked_with_few_descriptors(top: int, tmp_path: Path, levels: int) -> None:
    deepen(tmp_path, levels)
    before = len(open_descriptors())
    most = 0
    for number, _ in enumerate(walk(top)):
        if number % 50 == 0:
            most = max(most, len(open_descriptors()) - before)
    assert most <= 70
    assert count_below(top) == Count(levels, 3 * levels)


def test_a_walk_left_early_leaves_nothing_open(top: int, tmp_path: Path) -> None:
    deepen(tmp_path, 70)
    steps = walk(top)
    for _ in range(206):
        next(steps)
    steps.close()


def test_a_folder_moved_away_meanwhile_is_told(top: int, tmp_path: Path) -> None:
    deepen(tmp_path, 80)
    steps = walk(top)
    deep = tmp_path.joinpath(*["d"] * 10)
    with pytest.raises(BlockingIOError):  # noqa: PT012
        for number, _ in enumerate(steps):
            if number == 3 * 79:
                deep.rename(tmp_path / "moved")


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_goes_away_before_it_is_entered_is_left_out(top: int, tmp_path: Path, replace: bool) -> None:
    (tmp_path / "a").mkdir()
    steps = walk(top)
    assert next(steps).name == "a"
    (tmp_path / "a").rmdir()
    if replace:
        (tmp_path / "a").symlink_to("/")
    assert list(steps) == []


def test_a_mount_is_told_from_another(top: int, tmp_path: Path) -> None:
    other = os.open("/proc", os.O_PATH)
    folder = os.open(tmp_path, os.O_PATH)
    try:
        assert mount_of(top) == mount_of(folder) != mount_of(other)
    finally:
        os.close(other)
        os.close(folder)


def test_a_disk_that_fails_is_told(top: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deepen(tmp_path, 2)
    real = os.open

    def fail(path: bytes | str, *args: object, **kwargs: object) -> int:
        if path == b"d":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        count_below(top)
