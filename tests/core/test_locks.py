from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.core.locks import let_go, take_exclusive, try_exclusive


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Two descriptions of one file, as two processes have them."""
    opened = [os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR) for _ in range(2)]
    yield opened[0], opened[1]
    for fd in opened:
        os.close(fd)


def test_one_at_a_time(fds: tuple[int, int]) -> None:
    inside: list[int] = []

    def enter() -> None:
        assert take_exclusive(fds[1])
        inside.append(1)
        let_go(fds[1])

    assert take_exclusive(fds[0])
    assert not try_exclusive(fds[1])
    other = threading.Thread(target=enter)
    other.start()
    assert inside == []
    let_go(fds[0])
    other.join()
    assert inside == [1]
    assert try_exclusive(fds[1])


def _refusing(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(_fd: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_there_are_no_locks_nobody_waits(
    fds: tuple[int, int], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _refusing(number, monkeypatch)
    assert not take_exclusive(fds[0])


def test_any_other_failure_is_told(fds: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _refusing(errno.EIO, monkeypatch)
    with pytest.raises(OSError, match="Input/output error"):
        take_exclusive(fds[0])
    with pytest.raises(OSError, match="Input/output error"):
        try_exclusive(fds[0])
