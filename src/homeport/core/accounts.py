"""Account records: who may come in, where their home is, what they may do and how much they may keep.

The one rule: what is stored has been checked here, so nobody who reads an Account has to doubt it. A password leaves
this module only as its two verifiers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from homeport.core import schema
from homeport.core.account_fields import DEFAULTS, AccountFields, AccountLimits, columns_of
from homeport.core.account_names import clean_name, name_key
from homeport.core.errno_table import storage_error
from homeport.core.errors import AccountExists, AccountNotFound, HomeUnavailable, InvalidAccount
from homeport.core.passwords import HashCost, Verifiers, make_verifiers
from homeport.core.removal import remove_tree
from homeport.core.rights import Rights
from homeport.core.state import Database

__all__ = ["Account", "AccountFields", "AccountLimits", "Accounts", "Credentials"]

_TABLE = schema.accounts
_HOME_MODE = 0o700
_OCCUPIED = "files of an earlier account are in its home; choose that folder as its home to take them over"


@dataclass(frozen=True, slots=True)
class Account:
    """One account. `expires_at` and `password_changed_at` are seconds since the epoch; None means no limit."""

    id: int
    name: str
    home: Path
    rights: Rights = Rights.ALL
    quota_bytes: int | None = None
    max_files: int | None = None
    enabled: bool = True
    expires_at: float | None = None
    limits: AccountLimits = field(default_factory=AccountLimits)
    charset: str | None = None
    allow_exec: bool = False
    password_changed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account with its password's verifiers, read at one moment."""

    account: Account
    verifiers: Verifiers


class Accounts:
    """The accounts in `database`; homes are made in the folder `homes`. Threads and processes may share them."""

    def __init__(
        self,
        database: Database,
        homes: Path,
        clock: Callable[[], float] = time.time,
        cost: HashCost | None = None,
    ) -> None:
        self._database = database
        self._homes = homes
        self._clock = clock
        self._cost = cost or HashCost()

    def create(self, name: str, password: str, **fields: Unpack[AccountFields]) -> Account:
        """Make the account, its empty home and its row in the quota ledger.

        A home that has files in it is taken over only when `home` names it: then the ledger needs a recount.
        Raises AccountExists, InvalidAccount, HomeUnavailable.
        """
        columns = columns_of(name, DEFAULTS | fields)
        try:
            columns |= {"name": clean_name(name), "name_key": name_key(name)}
        except ValueError as error:
            raise InvalidAccount(name, str(error)) from error
        columns |= self._password_columns(name, password)
        columns["created_at"] = columns["password_changed_at"]
        try:
            with self._database.write() as connection:
                row = connection.execute(insert(_TABLE).values(columns).returning(_TABLE)).mappings().one()
                account = self._account(row)
                counters = {"account_id": account.id, "used_bytes": 0, "used_files": 0}
                connection.execute(insert(schema.usage).values(counters))
                self._make_home(account, adopt=columns["home"] is not None)
        except IntegrityError as error:
            raise AccountExists(name) from error
        return account

    def get(self, name: str) -> Account:
        """The account of that name, in any case and Unicode form; raises AccountNotFound."""
        return self._account(self._row(name))

    def by_id(self, account_id: int) -> Account:
        """Raises AccountNotFound, with the number as the name."""
        with self._database.read() as connection:
            row = connection.execute(select(_TABLE).where(_TABLE.c.id == account_id)).mappings().first()
        if row is None:
            raise AccountNotFound(f"#{account_id}")
        return self._account(row)

    def all(self) -> list[Account]:
        """Every account, by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(_TABLE).order_by(_TABLE.c.name_key)).mappings().all()
        return [self._account(row) for row in rows]

    def update(self, name: str, **fields: Unpack[AccountFields]) -> Account:
        """Change the given fields alone. Raises AccountNotFound, InvalidAccount, HomeUnavailable.

        A new home is made where there is none; files do not move with it.
        """
        return self._change(name, columns_of(name, fields), makes_home="home" in fields)

    def set_password(self, name: str, password: str) -> Account:
        """Replace both verifiers. Raises AccountNotFound, InvalidAccount."""
        self.get(name)  # before the costly hashing
        return self._change(name, self._password_columns(name, password))

    def remove(self, name: str, *, keep_files: bool = True) -> Account:
        """Forget the account, and with `keep_files=False` remove its home; returns what was forgotten.

        Raises AccountNotFound; InvalidAccount for the files of a home that the administrator chose, which may hold
        more than this account's; StorageFailed when files are left.
        """
        row = self._row(name)
        account = self._account(row)
        if not keep_files and row["home"] is not None:
            raise InvalidAccount(name, "its home was chosen by hand; remove its files by hand too")
        with self._database.write() as connection:
            gone = connection.execute(delete(_TABLE).where(_TABLE.c.id == account.id)).rowcount
        if not gone:
            raise AccountNotFound(name)
        if not keep_files:
            try:
                remove_tree(account.home)
            except OSError as error:
                raise storage_error(error) from error
        return account

    def credentials(self, name: str) -> Credentials | None:
        """The account with its verifiers; None for a name that nobody has, however strange."""
        try:
            row = self._row(name)
        except AccountNotFound:
            return None
        return Credentials(self._account(row), Verifiers(row["argon2"], row["scram_sha256"]))

    def verifiers(self, name: str) -> Verifiers | None:
        """The verifiers alone; None for a name that nobody has."""
        found = self.credentials(name)
        return found.verifiers if found else None

    def _row(self, name: str) -> RowMapping:
        try:
            key = name_key(name)
        except ValueError as error:
            raise AccountNotFound(name) from error
        with self._database.read() as connection:
            row = connection.execute(select(_TABLE).where(_TABLE.c.name_key == key)).mappings().first()
        if row is None:
            raise AccountNotFound(name)
        return row

    def _change(self, name: str, columns: Mapping[str, object], *, makes_home: bool = False) -> Account:
        account_id = self._row(name)["id"]
        if not columns:
            return self.by_id(account_id)
        change = update(_TABLE).where(_TABLE.c.id == account_id).values(columns).returning(_TABLE)
        with self._database.write() as connection:
            row = connection.execute(change).mappings().first()
            if row is None:
                raise AccountNotFound(name)
            account = self._account(row)
            if makes_home:
                self._make_home(account, adopt=True)
        return account

    def _password_columns(self, name: str, password: str) -> dict[str, object]:
        try:
            verifiers = make_verifiers(password, self._cost)
        except ValueError as error:
            raise InvalidAccount(name, str(error)) from error
        return {
            "argon2": verifiers.argon2,
            "scram_sha256": verifiers.scram_sha256,
            "password_changed_at": self._clock(),
        }

    def _make_home(self, account: Account, *, adopt: bool) -> None:
        try:
            os.makedirs(account.home.parent, _HOME_MODE, exist_ok=True)
            try:
                os.mkdir(account.home, _HOME_MODE)
            except FileExistsError:
                with os.scandir(account.home) as entries:
                    if next(entries, None) is not None and not adopt:
                        raise InvalidAccount(account.name, _OCCUPIED) from None
        except OSError as error:
            raise HomeUnavailable from error

    def _account(self, row: RowMapping) -> Account:
        return Account(
            id=row["id"],
            name=row["name"],
            home=self._homes / row["name"] if row["home"] is None else Path(row["home"]),
            rights=Rights.parse(row["rights"]),
            quota_bytes=row["quota_bytes"],
            max_files=row["max_files"],
            enabled=row["enabled"],
            expires_at=row["expires_at"],
            limits=AccountLimits(row["max_sessions"], row["upload_bytes_per_s"], row["download_bytes_per_s"]),
            charset=row["charset"],
            allow_exec=row["allow_exec"],
            password_changed_at=row["password_changed_at"],
        )
