"""What becomes a blank, what does not, and that nobody sees the difference."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.core.jails import nothing_left_open

from homeport.core import blanks
from homeport.core.blanks import is_blank, put_in_place
from homeport.core.digests import ATTRIBUTE
from homeport.core.entries import Entry
from homeport.core.renaming import Place, exchange, rename_to_new


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """A stage that holds `new` and a file that holds `old`."""
    with nothing_left_open():
        folder = os.open(tmp_path, os.O_RDONLY)
        (tmp_path / "stage").write_bytes(b"new")
        (tmp_path / "file").write_bytes(b"old")
        (tmp_path / "file").chmod(0o640)
        yield Place(folder, b"stage"), Place(folder, b"file")
        os.close(folder)


def look(folder: Path) -> Entry:
    return Entry.of("file", (folder / "file").lstat())


def replace(places: tuple[Place, Place], folder: Path) -> None:
    old = put_in_place(*places, look(folder))
    if old:
        old.become_blank(places[0])


def failing(number: int) -> Callable[..., None]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(("size", "left_size"), [(0, 0), (16 * 1024, 16 * 1024), (16 * 1024 + 1, 0)])
def test_a_replaced_file_becomes_a_blank_emptied_if_it_is_large(
    places: tuple[Place, Place], tmp_path: Path, size: int, left_size: int
) -> None:
    (tmp_path / "file").write_bytes(b"o" * size)
    before = look(tmp_path)
    os.setxattr(tmp_path / "file", ATTRIBUTE, b"digest")
    replace(places, tmp_path)
    assert (tmp_path / "file").read_bytes() == b"new"
    left = (tmp_path / "stage").lstat()
    assert (left.st_ino, left.st_size, is_blank(left.st_mode), left.st_mode & 0o777) == (
        before.inode,
        left_size,
        True,
        0o600,
    )


def test_what_is_not_there_leaves_nothing(places: tuple[Place, Place], tmp_path: Path) -> None:
    (tmp_path / "file").unlink()
    assert put_in_place(*places, None) is None
    assert os.listdir(tmp_path) == ["file"]


def hold_open(file: Path) -> int:
    return os.open(file, os.O_RDONLY)


def lock(file: Path) -> int:
    fd = os.open(file, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def link(file: Path) -> None:
    file.with_name("second").hardlink_to(file)


def mark(file: Path) -> None:
    os.setxattr(file, "user.of-its-own", b"1")


def give_away(file: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may give a file away")
    os.chown(file, 65534, -1)


@pytest.mark.parametrize("spoil", [hold_open, lock, link, mark, give_away])
def test_a_file_that_somebody_uses_or_has_marked_does_not(
    places: tuple[Place, Place], tmp_path: Path, spoil: Callable[[Path], int | None]
) -> None:
    fd = spoil(tmp_path / "file")
    replace(places, tmp_path)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not (tmp_path / "stage").exists()
    if fd is not None:
        assert os.read(fd, 10) == b"old"
        os.close(fd)


@pytest.mark.parametrize("call", ["open", "fchmod", "listxattr"])
def test_where_the_old_file_cannot_be_prepared_it_is_renamed_over(
    places: tuple[Place, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    there = look(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EPERM))
        assert put_in_place(*places, there) is None
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not (tmp_path / "stage").exists()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSPC])
def test_where_there_is_no_exchange_the_old_file_is_renamed_over(
    places: tuple[Place, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(blanks, "exchange", failing(number))
    there = look(tmp_path)
    if number == errno.EINVAL:
        assert put_in_place(*places, there) is None
        assert (tmp_path / "file").read_bytes() == b"new"
        return
    with pytest.raises(OSError, match="No space left"):
        put_in_place(*places, there)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert look(tmp_path).mode == 0o640


def test_another_file_than_was_looked_at_is_not_touched(places: tuple[Place, Place], tmp_path: Path) -> None:
    there = look(tmp_path)
    (tmp_path / "file").rename(tmp_path / "away")
    (tmp_path / "file").write_bytes(b"other")
    assert put_in_place(*places, there) is None
    assert (tmp_path / "away").read_bytes() == b"old"


def test_a_second_name_given_meanwhile_keeps_its_content(places: tuple[Place, Place], tmp_path: Path) -> None:
    old = put_in_place(*places, look(tmp_path))
    assert old
    link(tmp_path / "stage")
    old.become_blank(places[0])
    assert (tmp_path / "second").read_bytes() == b"old"
    assert not (tmp_path / "stage").exists()


def test_a_blank_that_cannot_be_emptied_is_one_all_the_same(
    places: tuple[Place, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))
    monkeypatch.setattr(os, "ftruncate", failing(errno.EIO))
    replace(places, tmp_path)
    assert is_blank((tmp_path / "stage").lstat().st_mode)


def test_renames_say_what_they_cannot(places: tuple[Place, Place], tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        rename_to_new(*places)
    rename_to_new(places[0], Place(places[0].folder, b"third"))
    assert sorted(os.listdir(tmp_path)) == ["file", "third"]
    with pytest.raises(FileNotFoundError):
        exchange(*places)
