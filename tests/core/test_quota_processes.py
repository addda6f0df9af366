"""The ledger between real processes: the limit to the byte, and an exact fit whoever holds the last lease."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from tests.core.ledgers import charged, lease_rows, make_account

from homeport.core.count import Count
from homeport.core.errors import QuotaExceeded
from homeport.core.quota import Ledger, Usage
from homeport.core.state import open_database

ACCOUNT = 1
SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 60.0


def serve(url: str, folder: str, pipe: Connection[Any, Any]) -> None:
    """Charge `size` up to `times` times for each order that comes, and tell how often it was granted."""
    database = open_database(url)
    ledger = Ledger(database, "worker", Path(folder))
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        size, times = order
        granted = 0
        for _ in range(times):
            try:
                with ledger.changing(ACCOUNT):
                    ledger.charge(ACCOUNT, size, 1)
                    granted += 1
            except QuotaExceeded:
                break
        pipe.send(granted)
    ledger.close()
    database.close()


class Worker:
    def __init__(self, url: str, folder: Path) -> None:
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(url, str(folder), theirs), daemon=True)
        self.process.start()
        theirs.close()
        assert self.answer() == "ready"

    def answer(self) -> Any:
        assert self.pipe.poll(PATIENCE_S)
        return self.pipe.recv()

    def order(self, size: int, times: int) -> None:
        self.pipe.send((size, times))

    def end(self) -> None:
        if self.process.is_alive():
            self.pipe.send(None)
        self.process.join(PATIENCE_S)
        assert not self.process.is_alive()
        self.process.close()
        self.pipe.close()


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    database = open_database(database_url)
    ledger = Ledger(database, "witness", tmp_path / "run")
    yield ledger
    ledger.close()
    assert lease_rows(database) == []
    database.close()


def test_four_processes_share_a_limit_to_the_byte(database_url: str, ledger: Ledger, tmp_path: Path) -> None:
    database = open_database(database_url)
    make_account(database, ACCOUNT, quota=3001 * 7 + 5)
    workers = [Worker(database_url, tmp_path / "run") for _ in range(4)]
    for worker in workers:
        worker.order(7, 5000)
    assert sum(worker.answer() for worker in workers) == 3001
    for worker, granted in zip(workers, [5, 0, 0, 0], strict=True):  # the last bytes, wherever they are
        worker.order(1, 6)
        assert worker.answer() == granted
    for worker in workers:
        worker.end()
    assert ledger.usage(ACCOUNT) == Usage(3001 * 7 + 5, 3006, 3001 * 7 + 5, None)
    assert charged(database, ACCOUNT) == Count(3001 * 7 + 5, 3006)
    database.close()


def test_a_killed_process_leaves_no_gap(database_url: str, ledger: Ledger, tmp_path: Path) -> None:
    database = open_database(database_url)
    make_account(database, ACCOUNT, quota=10_000)
    worker = Worker(database_url, tmp_path / "run")
    worker.order(10, 7)
    assert worker.answer() == 7
    with_lease = lease_rows(database)
    assert worker.process.pid is not None
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.join(PATIENCE_S)
    assert len(with_lease) == 1
    recounts = ledger.recover(lambda account: Count(70, 7))
    assert [(one.account, one.after) for one in recounts] == [(ACCOUNT, Count(70, 7))]
    begun = time.monotonic()
    ledger.charge(ACCOUNT, 9930)
    assert time.monotonic() - begun < PATIENCE_S
    ledger.settle()
    assert charged(database, ACCOUNT) == Count(10_000, 7)
    worker.end()
    database.close()
