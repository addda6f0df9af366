from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeport.core import durability
from homeport.core.durability import Durability, Policy
from homeport.core.errors import HomeportError, HomeUnavailable, StorageFailed, StorageFull


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x")
    yield fd
    os.close(fd)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("policy", Policy)
def test_files_and_folders_are_flushed(policy: Policy, fd: int, tmp_path: Path) -> None:
    made = Durability(policy)
    made.flush(fd)
    folder = os.open(tmp_path, os.O_RDONLY)
    made.flush_directory(folder)
    os.close(folder)


def test_always_is_fsync_and_never_is_nothing(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(durability, "_syncfs", synced.append)
    Durability(Policy.NEVER).flush(fd)
    assert synced == []
    Durability(Policy.ALWAYS).flush(fd)
    assert synced == [fd]


FAILURES: list[tuple[int, type[HomeportError]]] = [
    (errno.EIO, StorageFailed),
    (errno.ENOSPC, StorageFull),
    (errno.EDQUOT, StorageFull),
    (errno.ESTALE, HomeUnavailable),
]


@pytest.mark.parametrize(("number", "kind"), FAILURES)
@pytest.mark.parametrize("policy", [Policy.ALWAYS, Policy.GROUP])
def test_a_disk_that_fails_is_told(
    fd: int, monkeypatch: pytest.MonkeyPatch, policy: Policy, number: int, kind: type[HomeportError]
) -> None:
    def fail(_fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(durability, "_syncfs", fail)
    with pytest.raises(kind):
        Durability(policy).flush(fd)


class _FakeLibc:
    """Answers system calls with a failure."""

    def __init__(self, failing: str) -> None:
        self._failing = failing

    def syncfs(self, _fd: object) -> int:
        return self._answer("syncfs")

    def sync_file_range(self, *_args: object) -> int:
        return self._answer("sync_file_range")

    def _answer(self, name: str) -> int:
        ctypes.set_errno(errno.EIO)
        return -1 if name == self._failing else 0


@pytest.mark.parametrize("call", ["syncfs", "sync_file_range"])
def test_a_write_that_the_kernel_lost_is_told_whoever_synced(
    fd: int, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(durability, "_libc", _FakeLibc(call))
    with pytest.raises(StorageFailed, match=r"the server's disk failed \(EIO\)"):
        Durability(Policy.GROUP).flush(fd)


class Rounds:
    """A syncfs that waits at a gate, and what was flushed when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Semaphore(0)
        self.begun = 0
        self.failing: set[int] = set()
        self.done: list[int] = []
        monkeypatch.setattr(durability, "_syncfs", self._syncfs)

    def _syncfs(self, _fd: int) -> None:
        self.begun += 1
        mine = self.begun
        assert self.gate.acquire(timeout=10)
        if mine in self.failing:
            raise OSError(errno.EIO, "Input/output error")

    def flush_in_thread(self, made: Durability, fd: int, failures: list[HomeportError]) -> threading.Thread:
        def run() -> None:
            try:
                made.flush(fd)
            except HomeportError as error:
                failures.append(error)
            else:
                self.done.append(self.begun)

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def test_all_who_come_during_a_round_share_the_next(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, made, failures = Rounds(monkeypatch), Durability(Policy.GROUP), []  # type: ignore[var-annotated]
    threads = [rounds.flush_in_thread(made, fd, failures)]
    wait_until(lambda: rounds.begun == 1)
    threads += [rounds.flush_in_thread(made, fd, failures) for _ in range(5)]
    waiting = made._rounds[os.fstat(fd).st_dev]._changed._waiters  # type: ignore[attr-defined]
    wait_until(lambda: len(waiting) == 5)
    assert rounds.done == []
    rounds.gate.release()
    wait_until(lambda: rounds.begun == 2)
    assert rounds.done == [1] or rounds.done == [2]
    rounds.gate.release()
    for thread in threads:
        thread.join()
    assert (rounds.begun, len(rounds.done), failures) == (2, 6, [])


def test_a_failed_round_fails_its_leader_alone_and_the_others_try_again(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, made, failures = Rounds(monkeypatch), Durability(Policy.GROUP), []  # type: ignore[var-annotated]
    rounds.failing = {1, 2}
    threads = [rounds.flush_in_thread(made, fd, failures)]
    wait_until(lambda: rounds.begun == 1)
    threads += [rounds.flush_in_thread(made, fd, failures) for _ in range(4)]
    waiting = made._rounds[os.fstat(fd).st_dev]._changed._waiters  # type: ignore[attr-defined]
    wait_until(lambda: len(waiting) == 4)
    for _ in range(3):
        rounds.gate.release()
    for thread in threads:
        thread.join()
    assert (rounds.begun, len(rounds.done), len(failures)) == (3, 3, 2)
