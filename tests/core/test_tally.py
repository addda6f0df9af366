from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from homeport.core.errors import StorageFailed
from homeport.core.tally import NOBODY, Lonely, SharedTally, Tally, clear, key_of

ANN, BOB = key_of("ann"), key_of("bob")
HERE, THERE = key_of("here"), key_of("there")
SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 60.0

Make = Callable[..., SharedTally]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[SharedTally] = []

    def make(slot: int, processes: int = 3) -> SharedTally:
        made.append(SharedTally(tmp_path, slot, processes))
        return made[-1]

    yield make
    for tally in made:
        tally.close()


def seen(tally: Tally, *keys: bytes) -> tuple[int, ...]:
    """How many sessions of others there are, and how many of these have each of the keys."""
    with tally.alone() as others:
        return others.total, *(others.of(key) for key in keys)


def test_files_of_processes_that_are_gone_are_removed(tmp_path: Path, make: Make) -> None:
    for slot in range(3):
        make(slot).close()
    (tmp_path / "server.lock").touch()
    (tmp_path / "sessions-9.tally").mkdir()  # cannot be removed so
    assert len(list(tmp_path.iterdir())) == 6
    for _ in range(2):
        clear(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"server.lock", "sessions-9.tally"}


def test_keys_differ_and_stand_for_any_text() -> None:
    assert len({NOBODY, ANN, BOB, key_of("\udcff")}) == 4
    assert {len(NOBODY), len(ANN), len(key_of("\udcff"))} == {8}


def test_who_is_alone_sees_nobody() -> None:
    tally = Lonely()
    number = tally.add(HERE)
    tally.assign(number, ANN)
    assert seen(tally, HERE, ANN) == (0, 0, 0)
    tally.remove(number)


def test_each_sees_the_sessions_of_the_others(make: Make) -> None:
    first, second, third = make(0), make(1), make(2)
    numbers = [first.add(HERE), first.add(HERE), first.add(THERE)]
    assert numbers == [0, 1, 2]
    second.add(HERE)
    first.assign(1, ANN)
    assert seen(first, HERE, THERE, ANN) == (1, 1, 0, 0)
    assert seen(second, HERE, THERE, ANN) == (3, 2, 1, 1)
    assert seen(third, HERE, THERE, ANN, BOB) == (4, 3, 1, 1, 0)
    first.assign(1, NOBODY)
    assert seen(third, HERE, ANN) == (4, 3, 0)
    first.remove(0)
    first.remove(2)
    assert seen(third, HERE, THERE) == (2, 2, 0)
    assert [first.add(THERE), first.add(THERE), first.add(THERE)] == [0, 2, 3]
    assert seen(third, THERE) == (5, 3)


def test_who_ended_counts_no_longer_and_begins_anew(make: Make) -> None:
    first, second = make(0), make(1)
    first.add(HERE)
    assert seen(second, HERE) == (1, 1)
    first.close()
    assert seen(second, HERE) == (0, 0)
    again = make(0)
    assert seen(second, HERE) == (0, 0)
    again.add(HERE)
    assert seen(second, HERE) == (1, 1)


def test_two_in_one_slot_are_refused(make: Make) -> None:
    make(0)
    with pytest.raises(StorageFailed, match="EBUSY"):
        make(0)


def test_a_folder_that_is_missing_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="ENOENT"):
        SharedTally(tmp_path / "missing", 0, 2)


@pytest.mark.parametrize(("frees_after", "waited"), [(1, 0.0002), (3, 0.0006), (10**6, 0.05)])
def test_who_holds_the_lock_is_waited_for_but_not_for_ever(tmp_path: Path, frees_after: int, waited: float) -> None:
    now, pauses = 0.0, 0
    holder = os.open(tmp_path / "sessions.lock", os.O_RDWR | os.O_CREAT)

    def sleep(seconds: float) -> None:
        nonlocal now, pauses
        now, pauses = now + seconds, pauses + 1
        if pauses == frees_after:
            fcntl.flock(holder, fcntl.LOCK_UN)

    tally = SharedTally(tmp_path, 0, 2, monotonic=lambda: now, sleep=sleep)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert seen(tally) == (0,)
    assert now == pytest.approx(waited, abs=0.0003)
    tally.close()
    begun = now
    fcntl.flock(holder, fcntl.LOCK_EX)
    SharedTally(tmp_path, 0, 2, monotonic=lambda: now, sleep=sleep).close()
    assert now - begun == pytest.approx(0.05, abs=0.0003)  # nobody lets go of it any more
    os.close(holder)


def crowd(folder: str, slot: int, limit: int, pipe: Connection[Any, Any]) -> None:
    """Let in as many as the limit allows, as a registry does; tell how many, and wait to be killed."""
    tally = SharedTally(Path(folder), slot, 3)
    pipe.send("ready")
    pipe.recv()
    let_in = 0
    for _ in range(limit):
        with tally.alone() as others:
            if let_in + others.of(HERE) < limit:
                tally.add(HERE)
                let_in += 1
    pipe.send(let_in)
    pipe.recv()


def test_three_processes_hold_one_limit_and_a_killed_one_leaves_its_places(tmp_path: Path, make: Make) -> None:
    limit, workers = 500, []
    for slot in range(3):
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=crowd, args=(str(tmp_path), slot, limit, theirs), daemon=True)
        process.start()
        workers.append((process, ours))
    assert [pipe.recv() for _, pipe in workers] == ["ready"] * 3
    for _, pipe in workers:
        pipe.send("go")
    let_in = [pipe.recv() for _, pipe in workers]
    assert sum(let_in) == limit
    killed, _ = workers[0]
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join(PATIENCE_S)
    assert seen(make(0), HERE) == (limit - let_in[0],) * 2
    for process, _ in workers:
        process.kill()
        process.join(PATIENCE_S)
