"""Folders that shut their owner out. Root is never shut out, so the kernel's answers are put on here."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.jails import nothing_left_open

from homeport.core.count import Count
from homeport.core.entering import let_in, open_folder
from homeport.core.jail import Jail

FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@pytest.fixture(autouse=True)
def _no_privilege(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Opening asks for the rights to read and, where it begins, to search, as it does of all but root."""
    real = os.open

    def asking(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None and not os.fstat(dir_fd).st_mode & 0o100:
            raise PermissionError(errno.EACCES, "Permission denied")
        if (
            flags & (os.O_PATH | os.O_DIRECTORY) == os.O_DIRECTORY
            and not os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode & 0o400
        ):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", asking)
    with nothing_left_open():
        yield


@pytest.mark.parametrize(
    ("mode", "then"), [(0o000, 0o700), (0o400, 0o700), (0o100, 0o700), (0o070, 0o770), (0o500, 0o500), (0o755, 0o755)]
)
def test_the_owner_takes_back_what_he_needs_and_no_more(tmp_path: Path, mode: int, then: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    os.close(open_folder(folder, FLAGS))
    assert stat.S_IMODE(folder.stat().st_mode) == then


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_of_others_folders_nothing_is_changed(tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    if mode:
        os.close(open_folder(folder, FLAGS))
    else:
        with pytest.raises(PermissionError):
            open_folder(folder, FLAGS)
    assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_a_kernel_that_refuses_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    tmp_path.chmod(0o400)
    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.raises(PermissionError):
        open_folder(tmp_path, FLAGS)


def test_whatever_the_account_shuts_is_counted(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(b"five!")
    jail = Jail(tmp_path)
    for folder in (inner, inner.parent, tmp_path):  # the home itself, too
        folder.chmod(0)
    assert jail.walk_count() == Count(5, 3)
    jail.close()


def test_a_home_that_was_shut_is_opened(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    Jail(tmp_path).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_what_is_let_in_keeps_its_other_bits(tmp_path: Path) -> None:
    tmp_path.chmod(0o1022)
    handle = os.open(tmp_path, os.O_PATH)
    let_in(handle)
    os.close(handle)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1722
