"""The way in by SCRAM: who passes, that nobody who does not can tell why, and that names stay unknown."""

from __future__ import annotations

import hashlib
import hmac
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport.core.accounts import Accounts
from homeport.core.errors import Banned, LoginRefused
from homeport.core.login_guard import GuardSettings, LoginGuard
from homeport.core.passwords import HashCost
from homeport.core.proof_login import Challenge, ProofLogin
from homeport.core.state import Database

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=10)
HOME, EVIL = "192.0.2.1", "203.0.113.9"
NOW = 2_000_000_000.0
MESSAGE = b"n=anna,r=1,r=12,s=c2FsdA==,i=10,c=cD0s,r=12"


def proof_of(secret: str, challenge: Challenge, message: bytes = MESSAGE) -> bytes:
    """What a client sends: ClientKey XOR ClientSignature (RFC 5802 section 3)."""
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), challenge.verifier.salt, challenge.verifier.iterations)
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    return bytes(a ^ b for a, b in zip(key, signature, strict=True))


class House:
    """Accounts of every state behind one door."""

    def __init__(self, database: Database, homes: Path) -> None:
        self.now = NOW
        self.database = database
        self.accounts = Accounts(database, homes, lambda: self.now, CHEAP)
        self.login = self.door()
        for name in ("anna", "disabled", "expired"):
            self.accounts.create(name, "secret")
        self.accounts.update("disabled", enabled=False)
        self.accounts.update("expired", expires_at=NOW)

    def door(self) -> ProofLogin:
        guard = LoginGuard(self.database, GuardSettings())
        return ProofLogin(self.database, self.accounts, guard, cost=CHEAP, clock=lambda: self.now)

    def come_in(self, name: str, secret: str, address: str = HOME, token: str | None = None) -> str:
        challenge = self.login.challenge(name, address, token)
        return self.login.finish(challenge, MESSAGE, proof_of(secret, challenge)).account.name

    def refusal(self, name: str, secret: str, address: str = HOME, token: str | None = None) -> LoginRefused:
        with pytest.raises(LoginRefused) as caught:
            self.come_in(name, secret, address, token)
        return caught.value


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return House(database, tmp_path / "homes")


def test_the_right_proof_opens_the_account_and_gets_the_servers_own(house: House) -> None:
    challenge = house.login.challenge("ANNA", HOME)
    proved = house.login.finish(challenge, MESSAGE, proof_of("secret", challenge))
    assert proved.account == house.accounts.get("anna")
    salted = hashlib.pbkdf2_hmac("sha256", b"secret", challenge.verifier.salt, 10)
    key = hmac.digest(salted, b"Server Key", "sha256")
    assert proved.signature == hmac.digest(key, MESSAGE, "sha256")
    assert proved.signature.hex() not in repr(proved)


@pytest.mark.parametrize(
    ("name", "secret", "reason"),
    [
        ("anna", "Secret", "wrong password"),
        ("nobody", "secret", "unknown name"),
        ("", "secret", "unknown name"),
        ("../anna", "secret", "unknown name"),
        ("\udcff", "secret", "unknown name"),
        ("disabled", "secret", "disabled"),
        ("disabled", "wrong", "wrong password"),
        ("expired", "secret", "expired"),
        ("expired", "wrong", "wrong password"),
    ],
)
def test_every_refusal_is_one_sentence(house: House, name: str, secret: str, reason: str) -> None:
    for delay_s in (0.5, 1.0):
        refusal = house.refusal(name, secret)
        assert (refusal.reason, str(refusal)) == (reason, "login incorrect")
        assert refusal.delay_s == pytest.approx(delay_s, rel=0.1)


def test_a_proof_is_of_one_exchange_alone(house: House) -> None:
    challenge = house.login.challenge("anna", HOME)
    proof = proof_of("secret", challenge)
    house.login.finish(challenge, MESSAGE, proof)
    with pytest.raises(LoginRefused):
        house.login.finish(challenge, MESSAGE.replace(b"r=12", b"r=13"), proof)
    with pytest.raises(LoginRefused):
        house.login.finish(challenge, MESSAGE, proof[:-1])


def test_a_broken_exchange_counts_as_a_failure(house: House) -> None:
    challenge = house.login.challenge("anna", HOME)
    refusal = house.login.fail(challenge, "another channel")
    assert (refusal.reason, str(refusal), refusal.delay_s) == ("another channel", "login incorrect", 0.5)
    assert house.refusal("anna", "wrong").delay_s == pytest.approx(1.0, rel=0.1)


def test_a_name_that_nobody_has_gets_the_same_challenge_for_ever(house: House) -> None:
    first = house.login.challenge("nobody", HOME).verifier
    again = house.login.challenge("NOBODY", EVIL).verifier
    after_a_restart = house.door().challenge("nobody", HOME).verifier
    assert first.salt == again.salt == after_a_restart.salt
    assert (len(first.salt), first.iterations) == (16, 10)
    assert house.login.challenge("nobody2", HOME).verifier.salt != first.salt
    known = house.login.challenge("anna", HOME).verifier
    assert (len(known.salt), known.iterations) == (len(first.salt), first.iterations)
    assert first.stored_key != again.stored_key  # nothing that a proof could ever fit


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_guessing_is_banned_for_known_and_unknown_names_alike(house: House, name: str) -> None:
    waiting = house.login.challenge(name, EVIL)
    delays = [house.refusal(name, "wrong", EVIL).delay_s for _ in range(5)]
    assert delays == pytest.approx([0.5, 1, 2, 4, 8], rel=0.1)
    with pytest.raises(Banned):
        house.login.challenge(name, EVIL)
    with pytest.raises(Banned):  # an exchange that began before the ban
        house.login.finish(waiting, MESSAGE, proof_of("secret", waiting))
    assert house.come_in("anna", "secret") == "anna"


def test_a_success_resets_the_delay(house: House) -> None:
    for _ in range(3):
        house.refusal("anna", "wrong")
        house.refusal("anna", "wrong")
        house.come_in("anna", "secret")
    assert house.refusal("anna", "wrong").delay_s == pytest.approx(0.5, rel=0.1)


def _new_password(house: House) -> None:
    house.now += 1
    house.accounts.set_password("anna", "secret")


def _removed(house: House) -> None:
    house.accounts.remove("anna")


@pytest.mark.parametrize("deed", [_new_password, _removed])
def test_what_changes_during_the_exchange_counts(house: House, deed: Callable[[House], None]) -> None:
    challenge = house.login.challenge("anna", HOME)
    deed(house)
    with pytest.raises(LoginRefused) as caught:
        house.login.finish(challenge, MESSAGE, proof_of("secret", challenge))
    assert caught.value.reason == "the password was changed meanwhile"


def test_a_token_comes_in_under_its_id(house: House) -> None:
    made = house.login.tokens.create(house.accounts.get("anna"), "laptop")
    assert house.come_in("anna", made.secret, token=made.token.id) == "anna"
    assert house.login.tokens.of(house.accounts.get("anna"))[0].used_at == NOW
    assert house.refusal("anna", "secret", token=made.token.id).reason == "wrong token"
    assert house.refusal("anna", made.secret).reason == "wrong password"


@pytest.mark.parametrize(("name", "token"), [("anna", "unknown"), ("nobody", "MADE"), ("expired", "MADE")])
def test_tokens_that_do_not_belong_look_like_any_other(house: House, name: str, token: str) -> None:
    made = house.login.tokens.create(house.accounts.get("anna"), "laptop")
    token = token.replace("MADE", made.token.id)
    assert house.refusal(name, made.secret, token=token).reason == "unknown token"
    one, two = (house.login.challenge(name, HOME, token).verifier for _ in range(2))
    real = house.login.challenge("anna", HOME, made.token.id).verifier
    assert (one.salt, one.iterations, len(one.salt)) == (two.salt, real.iterations, len(real.salt))


def test_a_token_that_is_revoked_meanwhile_does_not_come_in(house: House) -> None:
    anna = house.accounts.get("anna")
    made = house.login.tokens.create(anna, "laptop")
    challenge = house.login.challenge("anna", HOME, made.token.id)
    house.login.tokens.revoke(anna, made.token.id)
    with pytest.raises(LoginRefused) as refusal:
        house.login.finish(challenge, MESSAGE, proof_of(made.secret, challenge))
    assert refusal.value.reason == "the token was changed meanwhile"


def test_a_disabled_accounts_token_does_not_come_in(house: House) -> None:
    made = house.login.tokens.create(house.accounts.get("anna"), "laptop")
    house.accounts.update("anna", enabled=False)
    assert house.refusal("anna", made.secret, token=made.token.id).reason == "disabled"


def test_known_and_unknown_names_take_about_the_same_time(house: House) -> None:
    """Medians of CPU time, 40 of each kind in turn (threats-detail D1: 25 %)."""
    cases = {"known": "anna", "unknown": "nobody", "disabled": "disabled"}
    times: dict[str, list[float]] = {case: [] for case in cases}
    for n in range(40):
        for case, name in cases.items():
            address = f"10.0.{n}.1"
            begun = time.process_time()
            challenge = house.login.challenge(name, address)
            with pytest.raises(LoginRefused):
                house.login.finish(challenge, MESSAGE, bytes(32))
            times[case].append(time.process_time() - begun)
    medians = {case: statistics.median(each) for case, each in times.items()}
    assert max(medians.values()) < 1.25 * min(medians.values()), medians
