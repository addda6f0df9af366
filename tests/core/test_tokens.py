"""Device tokens: each lets one device in, is revoked for itself, and dies with the password it was made under."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from homeport.core.accounts import Account, Accounts
from homeport.core.errors import TokenNotFound, TooManyTokens
from homeport.core.passwords import HashCost
from homeport.core.schema import device_tokens
from homeport.core.state import Database
from homeport.core.tokens import MAX_TOKENS, DeviceTokens, NewToken

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=10)


class House:
    """Two accounts and a clock that stands until it is set."""

    def __init__(self, database: Database, homes: Path) -> None:
        self.now = 1000.0
        self.database = database
        self.accounts = Accounts(database, homes, lambda: self.now, CHEAP)
        self.tokens = DeviceTokens(database, lambda: self.now)
        self.anna = self.accounts.create("anna", "secret")
        self.bob = self.accounts.create("bob", "secret")

    def fits(self, name: str, made: NewToken) -> bool:
        verifier = self.tokens.verifier(name, made.token.id)
        return verifier is not None and verifier.fits(made.secret.encode())

    def rows(self) -> int:
        with self.database.read() as connection:
            return len(connection.execute(device_tokens.select()).all())


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return House(database, tmp_path / "homes")


def test_a_token_opens_its_own_account_alone(house: House) -> None:
    made = house.tokens.create(house.anna, "  blue \t laptop ")
    assert (made.token.label, made.token.created_at, made.token.used_at) == ("blue laptop", 1000.0, None)
    assert len(made.secret) == 43
    assert re.fullmatch("[0-9a-f]{16}", made.token.id), "no hyphen in front, for it is an argument of commands"
    assert made.secret not in repr(made)
    assert house.fits("ANNA", made)
    assert not house.fits("bob", made)
    assert not house.fits("../anna", made)
    assert house.tokens.of(house.anna) == [made.token]
    assert house.tokens.of(house.bob) == []


@pytest.mark.parametrize("token", ["", "nobody's", "x\0y", "é", "a" * 33])
def test_ids_that_no_token_has(house: House, token: str) -> None:
    assert house.tokens.verifier("anna", token) is None
    with pytest.raises(TokenNotFound) as caught:
        house.tokens.revoke(house.anna, token)
    assert str(caught.value) == (
        f"account 'anna' has no token {token[:32]!r}; `homeport user token list` shows those there are"
    )


def test_a_revoked_token_opens_nothing(house: House) -> None:
    kept, gone = house.tokens.create(house.anna, "kept"), house.tokens.create(house.anna, "gone")
    with pytest.raises(TokenNotFound):
        house.tokens.revoke(house.bob, gone.token.id)
    assert house.tokens.revoke(house.anna, gone.token.id) == gone.token
    assert (house.fits("anna", kept), house.fits("anna", gone)) == (True, False)
    assert house.tokens.of(house.anna) == [kept.token]


def test_a_new_password_ends_the_tokens_before_it(house: House) -> None:
    made = house.tokens.create(house.anna, "old")
    house.now = 2000.0
    anna: Account = house.accounts.set_password("anna", "other")
    assert not house.fits("anna", made)
    assert house.tokens.of(anna) == []
    newer = house.tokens.create(anna, "new")
    assert house.fits("anna", newer)
    assert house.rows() == 1  # the dead one made room


def test_tokens_go_with_their_account(house: House) -> None:
    house.tokens.create(house.anna, "laptop")
    house.accounts.remove("anna")
    assert house.rows() == 0


def test_an_account_has_a_bounded_number(house: House) -> None:
    for number in range(MAX_TOKENS):
        house.tokens.create(house.anna, f"device {number}")
    with pytest.raises(TooManyTokens) as caught:
        house.tokens.create(house.anna, "one more")
    assert str(caught.value) == "account 'anna' has 64 tokens, which is the limit; revoke one that is not used"
    house.tokens.create(house.bob, "his own")
    assert len(house.tokens.of(house.anna)) == MAX_TOKENS


@pytest.mark.parametrize("label", ["", "   ", "x" * 65, "a\x1b[31m", "a\u200bb"])
def test_labels_are_short_and_printable(house: House, label: str) -> None:
    with pytest.raises(ValueError, match="a token's label has 1 to 64 printable characters"):
        house.tokens.create(house.anna, label)


def test_the_last_use_is_known_to_the_minute(house: House) -> None:
    made = house.tokens.create(house.anna, "laptop")
    house.tokens.used("nobody's")
    seen = []
    for now in (1010.0, 1060.0, 1071.0):
        house.now = now
        house.tokens.used(made.token.id)
        seen.append(house.tokens.of(house.anna)[0].used_at)
    assert seen == [1010.0, 1010.0, 1071.0]
