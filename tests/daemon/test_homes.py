"""Open homes and housekeeping, on a real instance without a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from homeport.config.model import Settings
from homeport.core.accounts import Account, Accounts
from homeport.core.errors import LoginRefused
from homeport.core.home import Modes
from homeport.core.passwords import HashCost
from homeport.core.paths import ROOT
from homeport.core.rights import Rights
from homeport.core.sessions import SessionRecord
from homeport.daemon.housekeeping import Housekeeping
from homeport.daemon.instance import Instance
from homeport.daemon.open_homes import DISABLED, EXPIRED, NEW_PASSWORD, REMOVED, OpenHomes
from homeport.daemon.services import Services

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=4096)


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    services: Services
    accounts: Accounts
    homes: OpenHomes
    clock: Clock
    kicked: list[str] = field(default_factory=list)

    def session(self) -> SessionRecord:
        return self.services.sessions.open("ftp", "127.0.0.1", self.kicked.append)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    instance = Instance(tmp_path / "instance")
    settings = Settings()
    instance.create(settings)
    with Services(instance, settings, "test") as services:
        accounts = Accounts(services.database, services.homes, cost=CHEAP)
        clock = Clock()
        yield House(services, accounts, OpenHomes(accounts, services.home_services, clock), clock)


@pytest.fixture
def bob(house: House) -> Account:
    return house.accounts.create("bob", "secret")


def test_a_changed_account_is_felt_in_open_homes(house: House, bob: Account) -> None:
    with house.homes.open(bob, house.session()) as home:
        house.accounts.update("bob", rights=Rights.READ_ONLY)
        assert house.homes.account_changed(bob.id) == 0
        assert home.account.rights == Rights.READ_ONLY
    assert house.kicked == []


@pytest.mark.parametrize("reason", [REMOVED, DISABLED, EXPIRED, NEW_PASSWORD])
def test_a_session_that_may_not_go_on_is_ended(house: House, bob: Account, reason: str) -> None:
    eve = house.accounts.create("eve", "secret")
    with house.homes.open(bob, house.session()), house.homes.open(eve, house.session()):
        change(house, reason)
        assert house.homes.account_changed(bob.id) == 1
        assert house.kicked == [reason]


@pytest.mark.parametrize("reason", [REMOVED, DISABLED, EXPIRED, NEW_PASSWORD])
def test_a_session_without_a_home_is_ended_too(house: House, bob: Account, reason: str) -> None:
    eve = house.accounts.create("eve", "secret")
    sessions = [house.session(), house.session()]
    for account, session in zip((bob, eve), sessions, strict=True):
        house.homes.watch(account, session)
    assert (house.homes.account_changed(bob.id), house.homes.end_expired()) == (0, 0)
    change(house, reason)
    assert house.homes.account_changed(bob.id) == 1
    assert house.kicked == [reason]
    with pytest.raises(LoginRefused) as caught:
        house.homes.watch(bob, house.session())
    assert caught.value.reason == reason


def test_time_ends_sessions_without_a_home_and_closed_ones_are_forgotten(house: House, bob: Account) -> None:
    house.accounts.update("bob", expires_at=house.clock.now + 10)
    session = house.session()
    house.homes.watch(house.accounts.get("bob"), session)
    house.clock.now += 10
    assert house.homes.end_expired() == 1
    house.services.sessions.close(session)
    del session
    assert house.homes.end_expired() == 0


@pytest.mark.parametrize("reason", [REMOVED, DISABLED, EXPIRED, NEW_PASSWORD])
def test_a_change_between_the_password_and_the_home_is_seen(house: House, bob: Account, reason: str) -> None:
    change(house, reason)
    with pytest.raises(LoginRefused) as caught:
        house.homes.open(bob, house.session())
    assert caught.value.reason == reason


def change(house: House, reason: str) -> None:
    if reason == REMOVED:
        house.accounts.remove("bob")
    elif reason == DISABLED:
        house.accounts.update("bob", enabled=False)
    elif reason == EXPIRED:
        house.accounts.update("bob", expires_at=house.clock.now)
    else:
        house.accounts.set_password("bob", "another")


def test_new_limits_between_the_password_and_the_home_hold(house: House, bob: Account) -> None:
    house.accounts.update("bob", quota_bytes=5)
    with house.homes.open(bob, house.session()) as home:
        assert home.account.quota_bytes == 5


def test_time_ends_sessions_too(house: House, bob: Account) -> None:
    house.accounts.update("bob", expires_at=house.clock.now + 10)
    with house.homes.open(bob, house.session()):
        assert house.homes.end_expired() == 0
        house.clock.now += 10
        assert house.homes.end_expired() == 1
    assert house.kicked == [EXPIRED]


def test_new_modes_are_for_homes_to_come(house: House, bob: Account) -> None:
    house.homes.set_modes(Modes(0o640, 0o750))
    with house.homes.open(bob, house.session()) as home:
        home.make_directory(ROOT.join("new"))
    assert (bob.home / "new").stat().st_mode & 0o777 == 0o750


def test_closed_homes_are_forgotten(house: House, bob: Account) -> None:
    house.homes.open(bob, house.session()).close()
    house.accounts.update("bob", enabled=False)
    assert house.homes.account_changed(bob.id) == 0


class TestHousekeeping:
    def keeper(self, house: House, monotonic: Clock, *, tidies: bool = True) -> Housekeeping:
        return Housekeeping(house.services, house.homes, tidies_stages=tidies, monotonic=monotonic, clock=house.clock)

    def stage(self, house: House, account_id: int, name: str, age_s: float) -> None:
        with house.services.stages.open_or_create(account_id, ROOT.join(name)) as stage:
            stage.charged()
            os.write(stage.fd, b"12345")
            os.utime(stage.fd, (house.clock.now - age_s,) * 2)
            house.services.ledger.charge(account_id, 5, 1)

    def test_old_stages_go_and_their_room_comes_back(self, house: House, bob: Account) -> None:
        week = 7 * 86400.0
        self.stage(house, bob.id, "old", week + 1)
        self.stage(house, bob.id, "young", week - 1)
        self.keeper(house, Clock()).tidy()
        assert house.services.stages.size_of(bob.id, ROOT.join("old")) is None
        assert house.services.stages.size_of(bob.id, ROOT.join("young")) == 5
        assert house.services.ledger.usage(bob.id).used_bytes == 5
        assert house.services.recount(bob).drift.bytes == 0

    def test_stages_of_removed_accounts_go(self, house: House, bob: Account) -> None:
        self.stage(house, bob.id, "file", 1)
        house.accounts.remove("bob")
        self.keeper(house, Clock()).tidy()
        assert house.services.stages.of(bob.id) == []

    def test_one_worker_is_enough(self, house: House, bob: Account) -> None:
        self.stage(house, bob.id, "old", 1e6)
        self.keeper(house, Clock(), tidies=False).tidy()
        assert len(house.services.stages.of(bob.id)) == 1

    def test_how_often(self, house: House, bob: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, done = Clock(), list[str]()
        keeper = self.keeper(house, clock)
        monkeypatch.setattr(keeper, "recover", lambda: done.append("recover"))
        monkeypatch.setattr(keeper, "expire_stages", lambda: done.append("expire"))
        for _ in range(130):
            keeper.tidy()
            clock.now += 5
        assert (done.count("recover"), done.count("expire")) == (21, 2)

    def test_removing_an_account_takes_its_stages(self, house: House, bob: Account) -> None:
        self.stage(house, bob.id, "file", 1)
        house.services.remove(bob, keep_files=True)
        assert house.services.stages.of(bob.id) == []
