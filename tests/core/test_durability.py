from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("policy", "calls"), [(Policy.ALWAYS, 2), (Policy.GROUP, 2), (Policy.NEVER, 0)])
def test_every_file_and_folder_is_synced_itself(
    fd: int, monkeypatch: pytest.MonkeyPatch, policy: Policy, calls: int
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    made = Durability(policy)
    made.flush(fd)
    made.flush_directory(fd)
    assert synced == [fd] * calls


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
    made = Durability(policy)
    for flush in (made.flush, made.flush_directory):
        with pytest.raises(kind):
            flush(fd)


class Rounds:
    """An fsync that waits at a gate, and what was flushed when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Semaphore(0)
        self.begun = 0
        self.failing: set[int] = set()
        self.done: list[int] = []
        monkeypatch.setattr(os, "fsync", self._fsync)

    def _fsync(self, _fd: int) -> None:
        self.begun += 1
        mine = self.begun
        assert self.gate.acquire(timeout=10)
        if mine in self.failing:
            raise OSError(errno.EIO, "Input/output error")

    def flush_in_thread(self, made: Durability, fd: int, failures: list[HomeportError]) -> threading.Thread:
        def run() -> None:
            try:
                made.flush_directory(fd)
            except HomeportError as error:
                failures.append(error)
            else:
                self.done.append(self.begun)

        thread = threading.Thread(target=run)
        thread.start()
        return thread


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    return Rounds(monkeypatch)


def come(
    rounds: Rounds, made: Durability, fd: int, failures: list[HomeportError], later: int
) -> list[threading.Thread]:
    """One thread leads a round, and `later` more come while it runs and wait for the next."""
    threads = [rounds.flush_in_thread(made, fd, failures)]
    wait_until(lambda: rounds.begun == 1)
    threads += [rounds.flush_in_thread(made, fd, failures) for _ in range(later)]
    (shared,) = made._shared._rounds.values()
    wait_until(lambda: len(shared._changed._waiters) == later)  # type: ignore[attr-defined]
    return threads


def test_all_who_come_during_a_round_share_the_next(fd: int, rounds: Rounds) -> None:
    made, failures = Durability(Policy.GROUP), list[HomeportError]()
    threads = come(rounds, made, fd, failures, 5)
    assert rounds.done == []
    rounds.gate.release()
    wait_until(lambda: rounds.begun == 2)
    rounds.gate.release()
    for thread in threads:
        thread.join()
    assert (rounds.begun, len(rounds.done), failures) == (2, 6, [])
    assert made._shared._rounds == {}


def test_a_failed_round_fails_its_leader_alone_and_the_others_try_again(fd: int, rounds: Rounds) -> None:
    made, failures = Durability(Policy.GROUP), list[HomeportError]()
    rounds.failing = {1, 2}
    threads = come(rounds, made, fd, failures, 4)
    for _ in range(3):
        rounds.gate.release()
    for thread in threads:
        thread.join()
    assert (rounds.begun, len(rounds.done), len(failures)) == (3, 3, 2)
    assert made._shared._rounds == {}


def test_folders_do_not_wait_for_each_other(fd: int, rounds: Rounds, tmp_path: Path) -> None:
    made, failures = Durability(Policy.GROUP), list[HomeportError]()
    folder = os.open(tmp_path, os.O_RDONLY)
    threads = [rounds.flush_in_thread(made, one, failures) for one in (fd, folder)]
    wait_until(lambda: rounds.begun == 2)
    rounds.gate.release(2)
    for thread in threads:
        thread.join()
    os.close(folder)
    assert failures == []
