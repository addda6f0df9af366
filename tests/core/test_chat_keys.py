"""Keys of sessions: threat U2 as far as it is about keys."""

from __future__ import annotations

import secrets

import pytest

from homeport.core.chat_keys import FRESH_S, ChatKeys
from homeport.core.errors import StateUnavailable
from homeport.core.state import Database


class Clock:
    now = 5000.5

    def __call__(self) -> float:
        return self.now


def served(database: Database, clock: Clock) -> tuple[ChatKeys, ChatKeys]:
    """Who gives keys, and who opens sessions: two processes."""
    serving = ChatKeys(database, clock)
    serving.renew()
    return ChatKeys(database, clock), serving


@pytest.mark.parametrize("account_id", [1, 4711, 2**32 + 5, 2**48 - 1])
def test_a_key_given_by_one_process_opens_a_session_in_another(database: Database, account_id: int) -> None:
    giving, serving = served(database, Clock())
    keys = giving.issue(account_id)
    assert serving.open(keys.name) == keys
    assert (len(keys.name), len(keys.client), keys.client != keys.server) == (16, 32, True)
    assert giving.issue(account_id).name != keys.name
    assert keys.client.hex() not in repr(keys)


def test_nobody_who_serves_no_udp_gives_keys(database: Database) -> None:
    keys = ChatKeys(database)
    with pytest.raises(StateUnavailable, match="the chat's UDP service has not started yet"):
        keys.issue(1)
    assert keys.open(bytes(16)) is None


def test_u2_a_name_opens_one_session_and_only_while_it_is_fresh(database: Database) -> None:
    clock = Clock()
    giving, serving = served(database, clock)
    first, second = giving.issue(1), giving.issue(1)
    assert serving.open(first.name) == serving.open(first.name)  # nothing has proven itself yet
    serving.begun(first.name)
    assert serving.open(first.name) is None
    clock.now += FRESH_S + 2
    assert serving.open(second.name) is None
    assert serving.open(first.name) is None
    serving.begun(giving.issue(1).name)
    assert len(serving._used) == 1  # what is stale need not be remembered


def test_a_changed_account_needs_a_new_key(database: Database) -> None:
    clock = Clock()
    giving, serving = served(database, clock)
    before, other = giving.issue(1), giving.issue(2)
    clock.now += 0.2
    serving.void(1)
    assert serving.open(before.name) is None
    assert serving.open(other.name) == other
    clock.now += 1
    after = giving.issue(1)
    assert serving.open(after.name) == after
    clock.now += FRESH_S + 2
    serving.void(2)
    assert list(serving._void) == [2]  # what is stale need not be remembered


def test_u2_nothing_from_before_a_restart_is_taken(database: Database) -> None:
    giving, serving = served(database, Clock())
    keys = giving.issue(1)
    serving.renew()
    assert serving.open(keys.name) is None
    assert serving.open(giving.issue(1).name) is not None


def test_u2_a_clock_that_goes_back_makes_nothing_fresh(database: Database) -> None:
    clock = Clock()
    giving, serving = served(database, clock)
    keys = giving.issue(1)
    clock.now -= 3600
    assert serving.open(keys.name) is None


def test_names_that_were_never_given_are_hardly_ever_opened_and_never_with_a_known_key(database: Database) -> None:
    _, serving = served(database, Clock())
    assert [serving.open(secrets.token_bytes(16)) for _ in range(1000)] == [None] * 1000
