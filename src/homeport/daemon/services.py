"""Everything that an instance is made of, put together once, for workers and commands alike.

One rule: what nobody asks for is not opened, so that `homeport user list` touches the database alone.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Self

from homeport.config.model import LimitSettings, LoginSettings, Settings
from homeport.config.processors import processors
from homeport.core.accounts import Account, Accounts
from homeport.core.audit import AuditLog
from homeport.core.audit_events import QuotaDrift, Who
from homeport.core.count import Count
from homeport.core.digests import DigestStore
from homeport.core.durability import Durability, Policy
from homeport.core.growing_digest import Beside
from homeport.core.home import HomeServices, Modes
from homeport.core.jail import Jail
from homeport.core.key_login import KeyLogin
from homeport.core.login import Login
from homeport.core.login_guard import GuardSettings, LoginGuard
from homeport.core.passwords import PasswordVerifier
from homeport.core.proof_login import ProofLogin
from homeport.core.quota import Ledger, Recount
from homeport.core.sessions import SessionLimits, Sessions
from homeport.core.ssh_keys import SshKeys
from homeport.core.stages import StageFolder
from homeport.core.state import Database, open_database
from homeport.core.tally import SharedTally
from homeport.daemon.instance import Instance


@dataclass(frozen=True)
class Services:
    """One process's share of an instance; `role` names the process to people, such as `worker0` or `command`.

    `slot` is a worker's number.
    """

    instance: Instance
    settings: Settings
    role: str
    slot: int | None = None
    _opened: ExitStack = field(default_factory=ExitStack, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back everything that was opened, the last one first."""
        self._opened.close()

    @cached_property
    def database(self) -> Database:
        """The state, migrated to this version. Raises StateUnavailable."""
        database = open_database(self.instance.database_url(self.settings))
        self._opened.callback(database.close)
        return database

    @property
    def homes(self) -> Path:
        """The folder of the homes."""
        return self.instance.path(self.settings.storage.homes)

    @cached_property
    def accounts(self) -> Accounts:
        """Who may come in."""
        return Accounts(self.database, self.homes)

    @cached_property
    def ledger(self) -> Ledger:
        """What they use; it takes part in the leases of all processes from its first change or recount on."""
        ledger = Ledger(self.database, self.role, self.instance.run)
        self._opened.callback(ledger.close)
        return ledger

    @cached_property
    def stages(self) -> StageFolder:
        """Unfinished uploads. Raises StorageFailed."""
        storage = self.settings.storage
        stages = StageFolder(self.instance.path(storage.stage), storage.reserve_bytes)
        self._opened.callback(stages.close)
        return stages

    @cached_property
    def guard(self) -> LoginGuard:
        """Failed logins and bans."""
        return LoginGuard(self.database, guard_settings(self.settings.login))

    @cached_property
    def passwords(self) -> PasswordVerifier:
        """Checks passwords, a few at once."""
        return PasswordVerifier(self.settings.limits.password_checks, cache_ttl_s=self.settings.login.password_cache_s)

    @cached_property
    def durability(self) -> Durability:
        """When stored bytes last."""
        return Durability(Policy(self.settings.fsync))

    @cached_property
    def sessions(self) -> Sessions:
        """Who is connected to this process. Raises StorageFailed."""
        limits, workers = session_limits(self.settings.limits), self.settings.workers
        if self.slot is None or workers == 1:
            return Sessions(limits)
        tally = SharedTally(self.instance.run, self.slot, workers)
        self._opened.callback(tally.close)
        return Sessions(limits, tally)

    @cached_property
    def audit(self) -> AuditLog:
        """What is remembered of what people did."""
        audit = AuditLog(self.instance.audit_log, self.instance.xferlog if self.settings.logs.xferlog else None)
        self._opened.callback(audit.close)
        return audit

    @cached_property
    def home_services(self) -> HomeServices:
        """What all homes share."""
        storage = self.settings.storage
        return HomeServices(
            ledger=self.ledger,
            stages=self.stages,
            digests=DigestStore(self.database),
            audit=self.audit,
            durability=self.durability,
            modes=Modes(storage.file_mode, storage.directory_mode),
            beside=Beside(processors()),
        )

    @cached_property
    def login(self) -> Login:
        """The one way in."""
        return Login(self.accounts, self.passwords, self.guard)

    @cached_property
    def keys(self) -> SshKeys:
        """The public keys that open accounts."""
        return SshKeys(self.database)

    @cached_property
    def key_login(self) -> KeyLogin:
        """The way in by one of them."""
        return KeyLogin(self.accounts, self.keys, self.guard)

    @cached_property
    def proofs(self) -> ProofLogin:
        """The way in without sending the password; it has the accounts' device tokens."""
        return ProofLogin(self.database, self.accounts, self.guard)

    def recount(self, account: Account) -> Recount:
        """Count the account's files again and make that the truth. Raises LedgerBusy, HomeUnavailable and the like."""
        recount = self.ledger.recount(account.id, lambda: self.count(account))
        self.note_drift(account.name, recount)
        return recount

    def note_drift(self, name: str, recount: Recount) -> None:
        """Remember that a recount found something else than the ledger said."""
        drift = recount.drift
        if drift.bytes or drift.files:
            self.audit.write(QuotaDrift(Who(account=name), drift.bytes, drift.files))

    def drop_stage(self, account: Account, name: str) -> Count | None:
        """Throw away the unfinished upload whose stage is called `name`; what it cost, None while it is under way."""
        with self.ledger.changing(account.id):
            gone = self.stages.drop(account.id, name)
            if gone:
                self.ledger.refund(account.id, gone.bytes, gone.files)
        return gone

    def remove(self, account: Account, *, keep_files: bool) -> None:
        """Forget the account; its unfinished uploads go in any case."""
        # The next account may get the same number, and must not find this one's bytes.
        self.stages.expire(account.id, 0.0, math.inf)
        self.accounts.remove(account.name, keep_files=keep_files)

    def count(self, account: Account) -> Count:
        """What the account has on the disk, home and stages, counted now. Raises HomeUnavailable and the like."""
        with Jail(account.home) as jail:
            return jail.walk_count() + self.stages.count(account.id)

    def count_of(self, account_id: int) -> Count:
        """As `count`, for the ledger, which knows accounts by number."""
        return self.count(self.accounts.by_id(account_id))


def guard_settings(login: LoginSettings) -> GuardSettings:
    """The guard's own form of the section `login`."""
    return GuardSettings(
        first_delay_s=login.first_delay_s,
        max_delay_s=login.max_delay_s,
        failures_before_ban=login.failures_before_ban,
        window_s=login.window_s,
        ban_s=login.ban_s,
        max_ban_s=login.max_ban_s,
        never_ban=tuple(ip_network(network) for network in login.never_ban),
    )


def session_limits(limits: LimitSettings) -> SessionLimits:
    """The registry's own form of the limits."""
    return SessionLimits(limits.sessions, limits.sessions_per_address, limits.sessions_per_account)
