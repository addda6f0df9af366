"""Account records on both databases: made, found, changed, forgotten; alone and in a race."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import RowMapping, insert, select, text

from homeport.core import accounts as accounts_module
from homeport.core.accounts import Account, AccountLimits, Accounts
from homeport.core.errors import (
    AccountExists,
    AccountNotFound,
    HomeportError,
    HomeUnavailable,
    InvalidAccount,
    StorageFailed,
)
from homeport.core.passwords import HashCost, check_argon2
from homeport.core.rights import Rights
from homeport.core.schema import leases, processes, usage
from homeport.core.scram import ScramVerifier
from homeport.core.state import Database

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=10)
HOSTILE = ["", "nobody", "a/b", "..", "\0", "\udcff", "x" * 100_000, "' OR '1'='1", "%", "_", "anna\n"]


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    return tmp_path / "homes"


@pytest.fixture
def accounts(database: Database, homes: Path) -> Accounts:
    return Accounts(database, homes, clock=lambda: 1000.0, cost=CHEAP)


# Making


def test_an_account_with_nothing_but_a_name_may_do_everything(accounts: Accounts, homes: Path) -> None:
    account = accounts.create("anna", "secret")
    assert account == Account(id=account.id, name="anna", home=homes / "anna", password_changed_at=1000.0)
    assert (account.rights, account.enabled, account.quota_bytes) == (Rights.ALL, True, None)
    assert accounts.get("anna") == accounts.by_id(account.id) == account


def test_every_field_is_kept(accounts: Accounts, tmp_path: Path) -> None:
    account = accounts.create(
        "anna",
        "secret",
        home=tmp_path / "elsewhere",
        rights=Rights.UPLOAD_ONLY,
        quota_bytes=5 * 2**40,
        max_files=7,
        enabled=False,
        expires_at=2.5e9,
        limits=AccountLimits(3, 10**10, None),
        charset="gb18030",
        allow_exec=True,
    )
    assert account == Account(
        account.id,
        "anna",
        tmp_path / "elsewhere",
        Rights.UPLOAD_ONLY,
        5 * 2**40,
        7,
        False,
        2.5e9,
        AccountLimits(3, 10**10, None),
        "gb18030",
        True,
        1000.0,
    )
    assert accounts.all() == [account]


def test_the_home_is_its_owners_alone_and_the_ledger_knows_it(
    accounts: Accounts, homes: Path, database: Database
) -> None:
    account = accounts.create("anna", "secret")
    assert stat.S_IMODE((homes / "anna").stat().st_mode) == 0o700
    with database.read() as connection:
        row = connection.execute(select(usage)).one()
    assert tuple(row) == (account.id, 0, 0, None, None)


def test_the_password_is_kept_as_its_two_verifiers(accounts: Accounts, database: Database) -> None:
    accounts.create("anna", "secret")
    verifiers = accounts.verifiers("anna")
    assert verifiers is not None
    assert check_argon2(verifiers.argon2, b"secret")
    assert ScramVerifier.parse(verifiers.scram_sha256).fits(b"secret")
    with database.read() as connection:
        assert "secret" not in str(connection.execute(text("SELECT * FROM accounts")).all())


@pytest.mark.parametrize("twin", ["anna", "ANNA", "\uff41nna"])
def test_a_name_that_looks_the_same_is_refused(accounts: Accounts, twin: str) -> None:
    accounts.create("anna", "secret")
    with pytest.raises(AccountExists) as caught:
        accounts.create(twin, "other")
    assert str(caught.value) == f"an account called {twin!r} (or one that looks the same) exists already"
    assert len(accounts.all()) == 1


@pytest.mark.parametrize(
    ("name", "password", "quota", "reason"),
    [
        ("../anna", "secret", 1, "account '../anna': a name begins with no dot and no dash"),
        ("anna", "", 1, "account 'anna': the password is empty"),
        (
            "anna",
            "secret",
            -1,
            "account 'anna': the quota in bytes must be from 0 to 9223372036854775807, not -1;"
            " leave it out for no limit",
        ),
    ],
)
def test_an_impossible_account_leaves_nothing(
    accounts: Accounts, homes: Path, name: str, password: str, quota: int, reason: str
) -> None:
    with pytest.raises(InvalidAccount) as caught:
        accounts.create(name, password, quota_bytes=quota)
    assert str(caught.value) == reason
    assert accounts.all() == []
    assert not homes.exists()


def test_files_of_an_earlier_account_are_not_handed_over_by_chance(accounts: Accounts, homes: Path) -> None:
    (homes / "anna").mkdir(parents=True)
    accounts.create("anna", "secret")  # an empty folder is nobody's loss
    (homes / "bert").mkdir()
    (homes / "bert" / "letter").write_text("private")
    with pytest.raises(InvalidAccount) as caught:
        accounts.create("bert", "secret")
    assert str(caught.value) == (
        "account 'bert': files of an earlier account are in its home; choose that folder as its home to take them over"
    )
    assert [account.name for account in accounts.all()] == ["anna"]
    assert accounts.create("bert", "secret", home=homes / "bert").home == homes / "bert"


def test_a_home_that_cannot_be_made_leaves_no_account(accounts: Accounts, homes: Path) -> None:
    homes.write_text("not a folder")
    with pytest.raises(HomeUnavailable):
        accounts.create("anna", "secret")
    assert accounts.all() == []


def test_a_file_in_place_of_the_home_leaves_no_account(accounts: Accounts, homes: Path) -> None:
    homes.mkdir()
    (homes / "anna").write_text("not a folder")
    with pytest.raises(HomeUnavailable):
        accounts.create("anna", "secret")
    assert accounts.all() == []


def test_of_many_who_make_the_same_account_at_once_one_succeeds(
    open_again: Callable[[], Database], homes: Path
) -> None:
    results: list[str] = []
    many = [Accounts(open_again(), homes, cost=CHEAP) for _ in range(4)]

    def create(accounts: Accounts, name: str) -> None:
        try:
            results.append(accounts.create(name, "secret").name)
        except AccountExists:
            results.append("exists")

    threads = [threading.Thread(target=create, args=(each, name)) for each in many for name in ("anna", "Anna")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("exists") == 7
    assert len(many[0].all()) == 1


# Finding


def test_a_name_is_found_in_any_case_and_form(accounts: Accounts) -> None:
    account = accounts.create("Jürgen", "secret")
    for name in ("Jürgen", "jürgen", "JÜRGEN", "Ju\u0308rgen"):
        assert accounts.get(name) == account


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_nobody_has_is_not_found(accounts: Accounts, name: str) -> None:
    accounts.create("anna", "secret")
    assert accounts.verifiers(name) is None
    assert accounts.credentials(name) is None
    deeds: list[Callable[[], object]] = [
        lambda: accounts.get(name),
        lambda: accounts.update(name, enabled=False),
        lambda: accounts.set_password(name, "other"),
        lambda: accounts.remove(name),
    ]
    for deed in deeds:
        with pytest.raises(AccountNotFound) as caught:
            deed()
        assert caught.value.name == name
    assert accounts.get("anna").enabled


def test_a_number_that_nobody_has_is_not_found(accounts: Accounts) -> None:
    with pytest.raises(AccountNotFound) as caught:
        accounts.by_id(77)
    assert str(caught.value) == "no account is called '#77'; `homeport user list` shows those there are"


def test_all_are_listed_by_name(accounts: Accounts) -> None:
    for name in ("carl", "Bert", "anna"):
        accounts.create(name, "secret")
    assert [account.name for account in accounts.all()] == ["anna", "Bert", "carl"]


# Changing


def test_only_the_given_fields_change(accounts: Accounts) -> None:
    before = accounts.create("anna", "secret", quota_bytes=10, charset="latin-1")
    after = accounts.update("ANNA", quota_bytes=None, limits=AccountLimits(max_sessions=2))
    assert after == replace(before, quota_bytes=None, limits=AccountLimits(max_sessions=2))
    assert accounts.get("anna") == accounts.update("anna") == after


def test_an_impossible_change_changes_nothing(accounts: Accounts) -> None:
    before = accounts.create("anna", "secret")
    with pytest.raises(InvalidAccount):
        accounts.update("anna", enabled=False, max_files=-1)
    assert accounts.get("anna") == before


def test_a_new_home_is_made(accounts: Accounts, tmp_path: Path, homes: Path) -> None:
    accounts.create("anna", "secret")
    assert accounts.update("anna", home=tmp_path / "big" / "anna").home == tmp_path / "big" / "anna"
    assert stat.S_IMODE((tmp_path / "big" / "anna").stat().st_mode) == 0o700
    assert accounts.update("anna", home=None).home == homes / "anna"


def test_a_new_home_that_cannot_be_made_changes_nothing(accounts: Accounts, tmp_path: Path) -> None:
    before = accounts.create("anna", "secret")
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnavailable):
        accounts.update("anna", home=tmp_path / "file" / "anna")
    assert accounts.get("anna") == before


def test_a_new_password_replaces_both_verifiers(database: Database, homes: Path) -> None:
    now = [1000.0]
    accounts = Accounts(database, homes, clock=lambda: now[0], cost=CHEAP)
    before = accounts.create("anna", "secret")
    now[0] = 2000.0
    assert accounts.set_password("anna", "other") == replace(before, password_changed_at=2000.0)
    verifiers = accounts.verifiers("anna")
    assert verifiers is not None
    assert check_argon2(verifiers.argon2, b"other")
    assert ScramVerifier.parse(verifiers.scram_sha256).fits(b"other")
    with pytest.raises(InvalidAccount, match=r"^account 'anna': the password is longer than 1024 bytes$"):
        accounts.set_password("anna", "x" * 1025)


# Forgetting


def test_a_forgotten_account_keeps_its_files(accounts: Accounts, homes: Path, database: Database) -> None:
    account = accounts.create("anna", "secret")
    (homes / "anna" / "letter").write_text("kept")
    with database.write() as connection:
        connection.execute(insert(processes).values(id="p", host="h", pid=1, heartbeat_at=0))
        connection.execute(
            insert(leases).values(process_id="p", account_id=account.id, bytes=1, files=1, recalled=False)
        )
    assert accounts.remove("Anna") == account
    assert (homes / "anna" / "letter").read_text() == "kept"
    with database.read() as connection:
        assert connection.execute(select(usage)).all() == connection.execute(select(leases)).all() == []


def test_the_files_go_too_when_asked(accounts: Accounts, homes: Path) -> None:
    accounts.create("anna", "secret")
    (homes / "anna" / "folder").mkdir()
    (homes / "anna" / "folder" / "letter").write_text("gone")
    accounts.remove("anna", keep_files=False)
    assert list(homes.iterdir()) == []
    accounts.create("anna", "secret")


def test_a_number_is_never_used_again(accounts: Accounts) -> None:
    """Stages are named by it."""
    numbers = []
    for _ in range(3):
        numbers.append(accounts.create("anna", "secret").id)
        accounts.remove("anna", keep_files=False)
    assert numbers == sorted(set(numbers))


def test_the_files_of_a_chosen_home_are_left_to_the_administrator(accounts: Accounts, tmp_path: Path) -> None:
    accounts.create("anna", "secret", home=tmp_path / "chosen")
    with pytest.raises(InvalidAccount) as caught:
        accounts.remove("anna", keep_files=False)
    assert str(caught.value) == "account 'anna': its home was chosen by hand; remove its files by hand too"
    assert accounts.remove("anna").name == "anna"
    assert (tmp_path / "chosen").exists()


def test_files_that_cannot_be_removed_are_reported(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts.create("anna", "secret")

    def fail(path: Path) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(accounts_module, "remove_tree", fail)
    with pytest.raises(StorageFailed) as caught:
        accounts.remove("anna", keep_files=False)
    assert caught.value.reason == "EACCES"
    assert accounts.all() == []


class Vanishing(Accounts):
    """Another process removes the account between the look and the change."""

    vanishes = False

    def _row(self, name: str) -> RowMapping:
        row = super()._row(name)
        if self.vanishes:
            self.vanishes = False
            Accounts.remove(self, name)
        return row


@pytest.mark.parametrize(
    "deed",
    [
        lambda accounts: accounts.update("anna", enabled=False),
        lambda accounts: accounts.update("anna"),
        lambda accounts: accounts.remove("anna"),
    ],
)
def test_an_account_that_vanishes_meanwhile_is_not_found(
    database: Database, homes: Path, deed: Callable[[Accounts], Account]
) -> None:
    accounts = Vanishing(database, homes, cost=CHEAP)
    accounts.create("anna", "secret")
    accounts.vanishes = True
    with pytest.raises(AccountNotFound):
        deed(accounts)


def test_no_message_names_a_path_of_the_machine(accounts: Accounts, tmp_path: Path) -> None:
    accounts.create("anna", "secret", home=tmp_path / "chosen")
    (tmp_path / "homes").write_text("")
    deeds: list[Callable[[], object]] = [
        lambda: accounts.remove("anna", keep_files=False),
        lambda: accounts.create("bert", "secret"),
        lambda: accounts.update("anna", home=Path(f"{tmp_path}/../x")),
    ]
    for deed in deeds:
        with pytest.raises(HomeportError) as caught:
            deed()
        assert str(tmp_path) not in str(caught.value)
