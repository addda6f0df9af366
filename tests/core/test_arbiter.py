from __future__ import annotations

import pytest

from homeport.core.arbiter import Arbiter
from homeport.core.errors import QuotaExceeded


class Growing:
    def give_way(self, error: QuotaExceeded) -> None:
        raise AssertionError


@pytest.fixture
def rivals() -> list[Growing]:
    return [Growing(), Growing(), Growing()]


def arbiter_of(rivals: list[Growing], account_id: int = 1) -> Arbiter:
    arbiter = Arbiter()
    for rival in rivals:
        arbiter.enter(account_id, rival)
    return arbiter


def test_the_youngest_gives_way_whoever_asks(rivals: list[Growing]) -> None:
    arbiter = arbiter_of(rivals)
    assert [arbiter.next_to_give_way(1, rival) for rival in rivals] == [rivals[2]] * 3


def test_who_is_alone_has_nobody_to_give_way_to(rivals: list[Growing]) -> None:
    assert arbiter_of(rivals[:1]).next_to_give_way(1, rivals[0]) is None


def test_who_gave_way_asks_in_vain(rivals: list[Growing]) -> None:
    arbiter = arbiter_of(rivals)
    arbiter.leave(1, rivals[2])
    assert arbiter.next_to_give_way(1, rivals[2]) is None
    assert arbiter.next_to_give_way(1, rivals[0]) is rivals[1]


def test_accounts_do_not_meet(rivals: list[Growing]) -> None:
    arbiter = arbiter_of(rivals[:1])
    arbiter.enter(2, rivals[1])
    assert arbiter.next_to_give_way(1, rivals[0]) is None
    assert arbiter.next_to_give_way(1, rivals[1]) is None


def test_who_left_is_forgotten(rivals: list[Growing]) -> None:
    arbiter = arbiter_of(rivals)
    for rival in rivals:
        arbiter.leave(1, rival)
    arbiter.leave(1, rivals[0])
    assert not arbiter._rivals


def test_one_of_an_account_looks_for_room_at_a_time() -> None:
    arbiter = Arbiter()
    with arbiter.turn(1), arbiter.turn(2):
        assert arbiter._turns[1].locked()
        assert not arbiter._turns[1].acquire(blocking=False)
    with arbiter.turn(1):
        pass
