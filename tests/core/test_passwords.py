"""Which passwords there are, what they cost, and what the verifier remembers."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from homeport.core import passwords
from homeport.core.errors import StateUnavailable
from homeport.core.passwords import HashCost, PasswordVerifier, Verifiers, check_argon2, make_verifiers, prepared
from homeport.core.scram import ScramVerifier

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=10)


class Counted:
    """Argon2 checks that are counted and can be stopped half-way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.verifiers: list[str] = []
        self.at_once = self.most_at_once = 0
        self.started = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()
        self._really: Callable[[str, bytes], bool] = check_argon2
        monkeypatch.setattr(passwords, "check_argon2", self)

    def __call__(self, verifier: str, secret: bytes) -> bool:
        with self._lock:
            self.verifiers.append(verifier)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.started.release()
        assert self.gate.wait(30)
        try:
            return self._really(verifier, secret)
        finally:
            with self._lock:
                self.at_once -= 1


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.fixture(scope="module")
def secret() -> Verifiers:
    return make_verifiers("secret", CHEAP)


# What is a password


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("secret", b"secret"),
        (" a b ", b" a b "),
        ("a\u00a0b\u3000c", b"a b c"),
        ("p\u00e4", b"p\xc3\xa4"),
        ("pa\u0308", b"p\xc3\xa4"),
        ("\uff41", "\uff41".encode()),  # full width is another password: NFC, not NFKC
        ("\u212b", "\u00c5".encode()),
        ("密码", "密码".encode()),
        ("😀", "😀".encode()),
        ("x" * 1024, b"x" * 1024),
        ("x" * 1023 + "y", b"x" * 1023 + b"y"),
    ],
)
def test_one_rule_says_which_texts_are_one_password(password: str, expected: bytes) -> None:
    assert prepared(password) == expected


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "the password is empty"),
        ("a\0b", "the password has control characters or is no UTF-8"),
        ("a\r", "the password has control characters or is no UTF-8"),
        ("a\x7f", "the password has control characters or is no UTF-8"),
        ("a\udcff", "the password has control characters or is no UTF-8"),
        ("x" * 1025, "the password is longer than 1024 bytes"),
        ("ä" * 513, "the password is longer than 1024 bytes"),
        ("x" * 10_000_000, "the password is longer than 1024 bytes"),
    ],
)
def test_some_texts_are_no_password(password: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        prepared(password)
    with pytest.raises(ValueError, match=f"^{reason}$"):
        make_verifiers(password, CHEAP)


# The verifiers


def test_both_verifiers_are_made_with_the_cost_asked_for(secret: Verifiers) -> None:
    assert secret.argon2.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert secret.scram_sha256.startswith("SCRAM-SHA-256$10:")
    assert check_argon2(secret.argon2, b"secret")
    assert not check_argon2(secret.argon2, b"Secret")
    assert ScramVerifier.parse(secret.scram_sha256).fits(b"secret")
    assert make_verifiers("secret", CHEAP) != secret
    assert repr(secret) == "Verifiers()"


def test_the_default_cost_is_that_of_the_rfc() -> None:
    """RFC 9106 section 4, the second recommended option."""
    cost = HashCost()
    assert (cost.argon2_passes, cost.argon2_memory_kib, cost.argon2_lanes) == (3, 64 * 1024, 4)


def test_bytes_beyond_the_72nd_count() -> None:
    verifiers = make_verifiers("x" * 100 + "a", CHEAP)
    assert not check_argon2(verifiers.argon2, b"x" * 100 + b"b")


@pytest.mark.parametrize(
    ("verifier", "reason"),
    [
        ("", "Decoding failed"),
        ("secret", "Decoding failed"),
        ("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ", "Decoding failed"),
    ],
)
def test_a_damaged_verifier_is_no_wrong_password(verifier: str, reason: str) -> None:
    with pytest.raises(StateUnavailable) as caught:
        check_argon2(verifier, b"secret")
    assert str(caught.value) == f"the state database is not available: a password cannot be checked ({reason})"


# The verifier's bounds and cache


def test_right_and_wrong(secret: Verifiers) -> None:
    verifier = PasswordVerifier(1, cost=CHEAP)
    assert verifier.verify(secret, "anna", "secret")
    assert not verifier.verify(secret, "anna", "Secret")
    assert verifier.verify(secret, "anna", "secret")


@pytest.mark.parametrize("password", ["", "a\0b", "\udcff", "x" * 10_000_000, "wrong"])
@pytest.mark.parametrize("known", [True, False])
def test_every_refusal_costs_one_hash_of_the_full_cost(
    counted: Counted, secret: Verifiers, password: str, known: bool
) -> None:
    verifier = PasswordVerifier(1, cost=CHEAP)
    for _ in range(2):  # refusals are not remembered
        assert not verifier.verify(secret if known else None, "anna", password)
    assert [text.rsplit("$", 2)[0] for text in counted.verifiers] == ["$argon2id$v=19$m=8,t=1,p=1"] * 2


def test_an_impossible_password_never_opens_an_account_with_an_empty_one() -> None:
    """The dummy is checked instead of the account's verifier, so no verifier can fit."""
    verifier = PasswordVerifier(1, cost=CHEAP)
    assert not verifier.verify(make_verifiers("x", CHEAP), "anna", "")


def test_a_dummy_costs_what_the_default_costs(counted: Counted) -> None:
    assert not PasswordVerifier(1).verify(None, "nobody", "secret")
    assert counted.verifiers[0].startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_right_password_is_remembered_for_a_while(counted: Counted, secret: Verifiers) -> None:
    clock = Clock()
    verifier = PasswordVerifier(1, cost=CHEAP, cache_ttl_s=60, clock=clock)
    checks = []
    for clock.now in (1000, 1059.9, 1060, 1119, 1121):
        assert verifier.verify(secret, "anna", "secret")
        checks.append(len(counted.verifiers))
    assert checks == [1, 1, 2, 2, 3]


def test_what_is_remembered_is_of_one_name_one_verifier_one_password(counted: Counted, secret: Verifiers) -> None:
    verifier = PasswordVerifier(1, cost=CHEAP)
    assert verifier.verify(secret, "anna", "secret")
    assert verifier.verify(secret, "bert", "secret")
    assert not verifier.verify(secret, "anna", "secre")
    assert not verifier.verify(make_verifiers("other", CHEAP), "anna", "secret")
    assert not verifier.verify(None, "anna", "secret")
    assert not verifier.verify(secret, "annas", "ecret")
    assert verifier.verify(secret, "a\udcff", "secret")
    assert len(counted.verifiers) == 7


def test_uncached_checks_are_neither_answered_from_nor_kept_in_memory(counted: Counted, secret: Verifiers) -> None:
    verifier = PasswordVerifier(1, cost=CHEAP)
    for cached in (False, True, False, True):
        assert verifier.verify(secret, "anna", "secret", cached=cached)
    assert len(counted.verifiers) == 3


def test_memory_is_bounded_and_the_least_used_goes_first(counted: Counted, secret: Verifiers) -> None:
    verifier = PasswordVerifier(1, cost=CHEAP, cache_size=2)
    for name in ("anna", "bert", "anna", "carl", "anna", "carl"):
        verifier.verify(secret, name, "secret")
    assert len(counted.verifiers) == 3
    verifier.verify(secret, "bert", "secret")
    assert len(counted.verifiers) == 4


def test_the_password_is_not_kept(secret: Verifiers) -> None:
    verifier = PasswordVerifier(1, cost=CHEAP)
    verifier.verify(secret, "anna", "secret")
    assert all(len(seal) == 32 and b"secret" not in seal for seal in verifier._known)


def test_only_so_many_are_computed_at_once(counted: Counted, secret: Verifiers) -> None:
    verifier = PasswordVerifier(2, cost=CHEAP)
    counted.gate.clear()
    threads = [threading.Thread(target=verifier.verify, args=(secret, f"name{n}", "wrong")) for n in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        assert counted.started.acquire(timeout=30)
    counted.gate.set()
    for thread in threads:
        thread.join()
    assert (len(counted.verifiers), counted.most_at_once) == (8, 2)


def test_ten_connections_of_one_client_pay_once(counted: Counted, secret: Verifiers) -> None:
    verifier = PasswordVerifier(1, cost=CHEAP)
    counted.gate.clear()
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(verifier.verify(secret, "anna", "secret"))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    assert counted.started.acquire(timeout=30)
    counted.gate.set()
    for thread in threads:
        thread.join()
    assert answers == [True] * 10
    assert len(counted.verifiers) == 1


def test_a_slot_is_free_again_after_a_failure(secret: Verifiers) -> None:
    verifier = PasswordVerifier(1, cost=CHEAP)
    for _ in range(3):
        with pytest.raises(StateUnavailable):
            verifier.verify(Verifiers("damaged", ""), "anna", "secret")
    assert verifier.verify(secret, "anna", "secret")
