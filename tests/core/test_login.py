"""The way in: who passes, and that nobody who does not can tell why."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path

import pytest

from homeport.core import passwords
from homeport.core.accounts import Accounts
from homeport.core.errors import Banned, LoginRefused, StateUnavailable
from homeport.core.login import Login
from homeport.core.login_guard import GuardSettings, LoginGuard
from homeport.core.passwords import HashCost, PasswordVerifier, check_argon2
from homeport.core.state import Database, open_database, sqlite_url

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=10)
HOME, EVIL = "192.0.2.1", "203.0.113.9"
NOW = 2_000_000_000.0


class House:
    """Accounts of every state behind one door."""

    def __init__(self, database: Database, homes: Path, cost: HashCost = CHEAP) -> None:
        self.accounts = Accounts(database, homes, cost=cost)
        self.guard = LoginGuard(database, GuardSettings())
        self.login = Login(self.accounts, PasswordVerifier(4, cost=cost), self.guard, clock=lambda: NOW)
        self.accounts.create("anna", "secret")
        self.accounts.create("later", "secret", expires_at=NOW + 1)
        self.accounts.create("expired", "secret", expires_at=NOW)
        self.accounts.create("disabled", "secret", enabled=False)

    def refusal(self, name: str, password: str, address: str = HOME) -> LoginRefused:
        with pytest.raises(LoginRefused) as caught:
            self.login.authenticate(name, password, address)
        return caught.value


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return House(database, tmp_path / "homes")


@pytest.mark.parametrize("name", ["anna", "ANNA", "later"])
def test_the_right_password_opens_the_account(house: House, name: str) -> None:
    assert house.login.authenticate(name, "secret", HOME) == house.accounts.get(name)


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("anna", "Secret", "wrong password"),
        ("anna", "", "wrong password"),
        ("anna", "a\0", "wrong password"),
        ("nobody", "secret", "unknown name"),
        ("", "secret", "unknown name"),
        ("../anna", "secret", "unknown name"),
        ("\udcff", "\udcff", "unknown name"),
        ("disabled", "secret", "disabled"),
        ("disabled", "wrong", "wrong password"),
        ("expired", "secret", "expired"),
        ("expired", "wrong", "wrong password"),
    ],
)
def test_every_refusal_is_one_sentence_for_one_computation(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str, password: str, reason: str
) -> None:
    computed: list[str] = []

    def counted(verifier: str, secret: bytes) -> bool:
        computed.append(verifier.rsplit("$", 2)[0])
        return check_argon2(verifier, secret)

    monkeypatch.setattr(passwords, "check_argon2", counted)
    for delay_s in (0.5, 1.0):
        refusal = house.refusal(name, password)
        assert (refusal.reason, str(refusal)) == (reason, "login incorrect")
        assert refusal.delay_s == pytest.approx(delay_s, rel=0.1)
    assert computed == ["$argon2id$v=19$m=8,t=1,p=1"] * 2


def test_a_right_password_is_not_remembered_for_an_account_that_was_disabled(house: House) -> None:
    house.login.authenticate("anna", "secret", HOME)
    house.accounts.update("anna", enabled=False)
    assert house.refusal("anna", "secret").reason == "disabled"
    house.accounts.update("anna", enabled=True)
    house.login.authenticate("anna", "secret", HOME)


def test_a_changed_or_removed_password_opens_nothing_at_once(house: House) -> None:
    house.login.authenticate("anna", "secret", HOME)
    house.accounts.set_password("anna", "other")
    assert house.refusal("anna", "secret").reason == "wrong password"
    house.login.authenticate("anna", "other", HOME)
    house.accounts.remove("anna")
    assert house.refusal("anna", "other").reason == "unknown name"


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_guessing_is_banned_for_known_and_unknown_names_alike(house: House, name: str) -> None:
    delays = [house.refusal(name, "wrong", EVIL).delay_s for _ in range(5)]
    assert delays == pytest.approx([0.5, 1, 2, 4, 8], rel=0.1)
    with pytest.raises(Banned):
        house.login.authenticate(name, "secret", EVIL)
    assert house.login.authenticate("anna", "secret", HOME).name == "anna"


def test_a_success_resets_the_delay(house: House) -> None:
    for _ in range(3):
        house.refusal("anna", "wrong")
        house.refusal("anna", "wrong")
        house.login.authenticate("anna", "secret", HOME)
    assert house.refusal("anna", "wrong").delay_s == pytest.approx(0.5, rel=0.1)


def test_what_cannot_be_found_out_is_no_failure(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(verifier: str, secret: bytes) -> bool:
        raise StateUnavailable("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(passwords, "check_argon2", broken)
        with pytest.raises(StateUnavailable):
            house.login.authenticate("anna", "secret", HOME)
    assert house.refusal("anna", "wrong").delay_s == pytest.approx(0.5, rel=0.1)


def test_guesses_side_by_side_win_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty guesses pass the first check together, the right one among them; it is computed last."""
    together = threading.Barrier(40)
    answers: list[str] = []
    turn = threading.Lock()
    wrong_done = threading.Semaphore(0)

    class Slow(PasswordVerifier):
        def verify(self, *arguments: object, **options: object) -> bool:
            together.wait(60)
            right = arguments[2] == "secret"
            for _ in range(39 if right else 0):
                assert wrong_done.acquire(timeout=60)
            return right

    login = Login(house.accounts, Slow(1, cost=CHEAP), house.guard, clock=lambda: NOW)

    def guess(password: str) -> None:
        try:
            login.authenticate("anna", password, EVIL)
            answer = "in"
        except LoginRefused:
            answer = "refused"
        except Banned:
            answer = "banned"
        with turn:
            answers.append(answer)
        wrong_done.release()

    threads = [threading.Thread(target=guess, args=(f"guess{n}",)) for n in range(39)]
    threads.append(threading.Thread(target=guess, args=("secret",)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[-1] == "banned"
    assert "in" not in answers


def test_known_and_unknown_names_take_the_same_time(tmp_path: Path) -> None:
    """At a cost where Argon2id dominates; 30 of each kind in turn, medians compared (threats-detail D1: 25 %)."""
    cost = HashCost(argon2_passes=1, argon2_memory_kib=8192, argon2_lanes=1, scram_iterations=10)
    database = open_database(sqlite_url(tmp_path / "state.db"))
    house = House(database, tmp_path / "homes", cost)
    house.login = Login(house.accounts, PasswordVerifier(1, cost=cost), house.guard)
    cases = {"wrong": ("anna", "wrong"), "unknown": ("nobody", "wrong"), "disabled": ("disabled", "secret")}
    times: dict[str, list[float]] = {case: [] for case in cases}
    for n in range(30):
        for case, (name, password) in cases.items():
            begun = time.process_time()
            house.refusal(name, password, f"10.0.{n}.1")
            times[case].append(time.process_time() - begun)
    database.close()
    medians = {case: statistics.median(each) for case, each in times.items()}
    assert max(medians.values()) < 1.25 * min(medians.values()), medians
