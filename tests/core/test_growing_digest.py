"""The digest beside the writing is that of what was written, whoever hashes and however late."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeport.core import growing_digest
from homeport.core.errors import StorageFailed
from homeport.core.growing_digest import Beside, GrowingDigest

PIECE = os.urandom(1000)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_digest, "_ALONE_BYTES", 2000)
    monkeypatch.setattr(growing_digest, "_STEP_BYTES", 1500)
    monkeypatch.setattr(growing_digest, "_LAG_MAX_BYTES", 6000)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


class Later(Beside):
    """Work that waits until the test does it."""

    def __init__(self) -> None:
        super().__init__(processors=4)
        self.work: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], None]) -> bool:
        self.work.append(work)
        return True


def grow(digest: GrowingDigest, fd: int, pieces: int) -> None:
    for _ in range(pieces):
        os.write(fd, PIECE)
        digest.grew(memoryview(PIECE))


@pytest.mark.parametrize("pieces", [0, 1, 2, 3, 4, 5, 40])
@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("beside", [Beside, lambda: Beside(4), Later])
def test_the_digest_is_that_of_all_that_was_written(
    fd: int, before: int, pieces: int, beside: Callable[[], Beside]
) -> None:
    os.write(fd, PIECE * before)
    digest = GrowingDigest(fd, beside())
    digest.start(before * len(PIECE))
    grow(digest, fd, pieces)
    assert digest.hexdigest() == hashlib.sha256(PIECE * (before + pieces)).hexdigest()
    digest.stop()
    digest.stop()


def test_a_large_file_is_hashed_by_another_thread(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = threading.Event()
    real = os.preadv

    def preadv(*args: object) -> int:
        if threading.current_thread() is not threading.main_thread():
            hashed.set()
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "preadv", preadv)
    digest = GrowingDigest(fd, Beside(processors=2))
    grow(digest, fd, 4)
    assert hashed.wait(10)
    assert digest.hexdigest() == hashlib.sha256(PIECE * 4).hexdigest()
    digest.stop()


@pytest.mark.parametrize(("processors", "most"), [(1, 0), (2, 1), (3, 1), (8, 4)])
def test_as_many_work_at_once_as_have_two_processors_each(processors: int, most: int) -> None:
    beside, go_on, done = Beside(processors), threading.Event(), threading.Semaphore(0)

    def work() -> None:
        go_on.wait(30)
        done.release()

    assert [beside.submit(work) for _ in range(most + 1)] == [True] * most + [False]
    assert not beside.has_room
    go_on.set()
    assert [done.acquire(timeout=30) for _ in range(most)] == [True] * most


def test_work_that_has_ended_makes_room_also_if_it_failed() -> None:
    beside = Beside(processors=2)
    ran: list[int] = []

    def fail() -> None:
        ran.append(1)
        raise ZeroDivisionError

    for _ in range(2):
        assert beside.submit(fail)
        for _ in range(3000):
            if beside.has_room:
                break
            threading.Event().wait(0.01)
    assert (ran, beside.has_room) == ([1, 1], True)


class Full(Beside):
    """A Beside that has no room, or says that it has and then has none."""

    def __init__(self, *, says_so: bool) -> None:
        super().__init__(processors=1)
        self.says_so = says_so

    @property
    def has_room(self) -> bool:
        return not self.says_so


def test_where_the_processors_are_busy_a_file_is_hashed_as_it_comes(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "preadv", lambda *_: pytest.fail("it was read again"))
    digest = GrowingDigest(fd, Full(says_so=True))
    grow(digest, fd, 10)
    assert digest.hexdigest() == hashlib.sha256(PIECE * 10).hexdigest()
    digest.stop()


def test_what_was_left_for_others_who_are_busy_now_is_read_again_at_once(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    real = os.preadv

    def preadv(fd: int, buffers: list[memoryview], offset: int) -> int:
        reads.append(offset)
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    full = Full(says_so=False)
    digest = GrowingDigest(fd, full)
    grow(digest, fd, 6)
    assert reads == [2000, 4000]
    full.says_so = True
    grow(digest, fd, 4)
    assert digest.hexdigest() == hashlib.sha256(PIECE * 10).hexdigest()
    assert reads == [2000, 4000]
    digest.stop()


def test_a_stopped_digest_reads_no_more(fd: int) -> None:
    later = Later()
    digest = GrowingDigest(fd, later)
    grow(digest, fd, 4)
    digest.stop()
    os.ftruncate(fd, 0)
    for work in later.work:
        work()
    assert len(later.work) == 1


@pytest.mark.parametrize("cut", [True, False])
def test_what_cannot_be_read_again_has_no_digest(fd: int, monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    later = Later()
    digest = GrowingDigest(fd, later)
    grow(digest, fd, 4)
    if cut:
        os.ftruncate(fd, 0)
    else:
        monkeypatch.setattr(os, "preadv", fail)
    later.work.pop()()
    with pytest.raises(StorageFailed, match="what was written is gone" if cut else "EIO"):
        digest.hexdigest()
    digest.stop()
