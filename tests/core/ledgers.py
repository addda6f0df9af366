"""Accounts and ledgers for the tests of the quota: several ledgers on one database stand for several processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import insert, select, update

from homeport.core.count import Count
from homeport.core.ledger_times import LedgerClocks, LedgerTimes
from homeport.core.quota import Ledger
from homeport.core.schema import accounts, leases, usage
from homeport.core.state import Database


class FakeTime:
    """A clock that moves when somebody waits; `meanwhile` is what the others do then."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.now = 1000.0
        self.meanwhile = meanwhile

    def clocks(self) -> LedgerClocks:
        return LedgerClocks(wall=lambda: self.now, monotonic=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


class Processes:
    """Ledgers that run only when told: when one waits, the others attend."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.time = FakeTime(self.attend)
        self.living: list[Ledger] = []

    def start(self, label: str = "worker") -> Ledger:
        times = LedgerTimes(background=False, recall_deadline_s=0.2, freeze_deadline_s=0.5)
        self.living.append(Ledger(self.database, label, self.folder, times=times, clocks=self.time.clocks()))
        return self.living[-1]

    def kill(self, ledger: Ledger) -> None:
        """As kill -9: the kernel drops its lock, nothing else happens."""
        self.living.remove(ledger)
        lock = ledger.processes._lock
        if lock is not None:
            os.close(lock)
            ledger.processes._lock = None

    def attend(self) -> None:
        for ledger in self.living:
            ledger.attend()

    def close(self) -> None:
        for ledger in self.living:
            ledger.close()
        self.living.clear()


def make_account(database: Database, account: int, quota: int | None = None, files: int | None = None) -> int:
    row = {
        "id": account,
        "name": f"account{account}",
        "name_key": f"account{account}",
        "argon2": "",
        "scram_sha256": "",
        "rights": "all",
        "quota_bytes": quota,
        "max_files": files,
        "enabled": True,
        "allow_exec": False,
        "created_at": 0.0,
        "password_changed_at": 0.0,
    }
    with database.write() as connection:
        connection.execute(insert(accounts).values(row))
        connection.execute(insert(usage).values(account_id=account, used_bytes=0, used_files=0))
    return account


def set_limits(database: Database, account: int, quota: int | None, files: int | None = None) -> None:
    with database.write() as connection:
        connection.execute(
            update(accounts).where(accounts.c.id == account).values(quota_bytes=quota, max_files=files),
        )


def handed_out(database: Database, account: int) -> Count:
    """What the database holds as used, unspent leases included."""
    with database.read() as connection:
        used = connection.execute(select(usage).where(usage.c.account_id == account)).one()
    return Count(used.used_bytes, used.used_files)


def charged(database: Database, account: int) -> Count:
    """What the database holds as used, unspent leases taken off."""
    with database.read() as connection:
        used = connection.execute(select(usage).where(usage.c.account_id == account)).one()
        rows = connection.execute(select(leases).where(leases.c.account_id == account)).all()
    return Count(
        used.used_bytes - sum(row.bytes for row in rows),
        used.used_files - sum(row.files for row in rows),
    )


def lease_rows(database: Database) -> list[tuple[int, int, int, bool]]:
    query = select(leases.c.account_id, leases.c.bytes, leases.c.files, leases.c.recalled)
    with database.read() as connection:
        return [(row.account_id, row.bytes, row.files, row.recalled) for row in connection.execute(query)]
