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


def test_the_youngest_gives_way_and_the_oldest_never(rivals: list[Growing]) -> None:
    arbiter = Arbiter()
    for rival in rivals:
        arbiter.enter(1, rival)
    old, middle, young = rivals
    assert arbiter.younger(1, old) is young
    assert arbiter.younger(1, middle) is young
    assert arbiter.younger(1, young) is None
    assert [arbiter.is_oldest(1, rival) for rival in rivals] == [True, False, False]


def test_accounts_do_not_meet(rivals: list[Growing]) -> None:
    arbiter = Arbiter()
    arbiter.enter(1, rivals[0])
    arbiter.enter(2, rivals[1])
    assert arbiter.younger(1, rivals[0]) is None
    assert arbiter.is_oldest(2, rivals[1])


def test_who_left_is_forgotten(rivals: list[Growing]) -> None:
    arbiter = Arbiter()
    for rival in rivals:
        arbiter.enter(1, rival)
    arbiter.leave(1, rivals[2])
    assert arbiter.younger(1, rivals[0]) is rivals[1]
    for rival in rivals:
        arbiter.leave(1, rival)
    arbiter.leave(1, rivals[0])
    assert not arbiter._rivals
