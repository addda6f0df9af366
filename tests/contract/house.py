"""A server's core on a temporary folder, as the behaviours see it: accounts, their disks, and the ledger's word.

What a test plants behind the server's back it plants within `planting`, after which the ledger is told to recount; so
at the end of every test the ledger must equal the disk without exception.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Unpack

from tests.contract.subject import Connect, HomeUnderTest, Used

from homeport.core.account_fields import AccountFields
from homeport.core.accounts import Accounts
from homeport.core.audit import AuditLog
from homeport.core.count import Count
from homeport.core.digests import DigestStore
from homeport.core.durability import Durability, Policy
from homeport.core.home import Home, HomeServices
from homeport.core.jail import Jail
from homeport.core.passwords import HashCost
from homeport.core.quota import Ledger
from homeport.core.sessions import Sessions
from homeport.core.stages import StageFolder
from homeport.core.state import Database, open_database

PASSWORD = "correct horse battery staple"


class House:
    """Accounts on a disk and whoever connects to them. `connector` is set by the factory's `serve`."""

    def __init__(self, root: Path, database: Database, accounts: Accounts, services: HomeServices) -> None:
        self.root = root
        self.database = database
        self.accounts = accounts
        self.services = services
        self.sessions = Sessions()
        self.connector: Connect | None = None
        self._clients: list[HomeUnderTest] = []

    @classmethod
    @contextmanager
    def built(cls, root: Path, policy: Policy = Policy.NEVER) -> Iterator[House]:
        """A house on the folder `root`; files are made lasting as `policy` says."""
        with ExitStack() as cleanup:
            database = open_database(f"sqlite:///{root / 'state.db'}")
            cleanup.callback(database.close)
            ledger = Ledger(database, "contract", root / "run")
            cleanup.callback(ledger.close)
            (root / "homes").mkdir(exist_ok=True)
            (root / "run").mkdir(exist_ok=True)
            audit = AuditLog(root / "audit.jsonl", root / "xferlog")
            cleanup.callback(audit.close)
            services = HomeServices(
                ledger=ledger,
                stages=cleanup.enter_context(StageFolder(root / "stage")),
                digests=DigestStore(database),
                audit=audit,
                durability=Durability(policy),
            )
            cheap = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=4096)
            yield cls(root, database, Accounts(database, root / "homes", cost=cheap), services)

    def account(self, name: str, **fields: Unpack[AccountFields]) -> None:
        """Make an account; all have the same password."""
        self.accounts.create(name, PASSWORD, **fields)

    def change(self, name: str, **fields: Unpack[AccountFields]) -> None:
        """Change an account's rights or limits, for sessions that begin afterwards."""
        self.services.ledger.limits_changed(self.accounts.update(name, **fields).id)

    def connect(self, name: str) -> HomeUnderTest:
        """A new session of the account."""
        assert self.connector
        client = self.connector(name, PASSWORD)
        self._clients.append(client)
        return client

    def open_home(self, name: str) -> Home:
        """A session's view of the account's home, without a protocol."""
        account = self.accounts.get(name)
        record = self.sessions.open("direct", "127.0.0.1")
        self.sessions.log_in(record, account)
        return Home(account, self.services, record)

    def close_clients(self) -> None:
        """End all sessions that have not ended."""
        while self._clients:
            self._clients.pop().close()

    def home(self, name: str) -> Path:
        """The account's folder on the disk."""
        return self.accounts.get(name).home

    @contextmanager
    def planting(self, name: str) -> Iterator[Path]:
        """The account's folder, to change it behind the server's back; the ledger is recounted afterwards."""
        yield self.home(name)
        account = self.accounts.get(name)
        self.services.ledger.recount(account.id, lambda: self.count(name))

    def usage(self, name: str) -> Used:
        """What the ledger says."""
        usage = self.services.ledger.usage(self.accounts.get(name).id)
        return Used(usage.used_bytes, usage.used_files)

    def recount(self, name: str) -> Used:
        """What stands on the disk, stages included."""
        count = self.count(name)
        return Used(count.bytes, count.files)

    def snapshot(self, name: str) -> dict[str, bytes | str]:
        """Every name in the home with its content, link target or kind, and its mode and time."""
        found: dict[str, bytes | str] = {}
        for folder, folders, files in os.walk(self.home(name)):
            for entry in folders + files:
                path = Path(folder, entry)
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
                look = path.lstat()
                found[str(path)] = content
                found[str(path) + " facts"] = f"{look.st_mode:o} {look.st_mtime_ns if path.is_file() else ''}"
        return found

    def prove_exact(self) -> None:
        """Every account's ledger equals its disk and keeps its limits."""
        for account in self.accounts.all():
            usage = self.usage(account.name)
            assert usage == self.recount(account.name), account.name
            assert account.quota_bytes is None or usage.bytes <= account.quota_bytes
            assert account.max_files is None or usage.files <= account.max_files

    def count(self, name: str) -> Count:
        """What stands on the disk, as the ledger wants it said."""
        account = self.accounts.get(name)
        with Jail(account.home) as jail:
            return jail.walk_count() + self.services.stages.count(account.id)
