from __future__ import annotations

import random

from homeport.protocols.chat.replay import WINDOW, ReplayWindow


def test_each_number_is_new_once() -> None:
    window, taken = ReplayWindow(), set[int]()
    chance = random.Random(4)
    number = 0
    for _ in range(5000):
        number = max(0, number + chance.randrange(-30, 40))
        if window.is_new(number):
            assert number not in taken
            assert window.take(number) is (number > max(taken, default=-1))
            taken.add(number)
    assert len(taken) > 1000


def test_what_is_too_old_to_tell_counts_as_seen() -> None:
    window = ReplayWindow()
    window.take(WINDOW + 10)
    assert [window.is_new(number) for number in (10, 11, WINDOW + 9, WINDOW + 10, WINDOW + 11)] == [
        False,
        True,
        True,
        False,
        True,
    ]


def test_a_leap_forgets_everything_and_costs_nothing() -> None:
    window = ReplayWindow()
    window.take(0)
    window.take((1 << 62) - 1)
    assert not window.is_new(0)
    assert window.is_new((1 << 62) - 2)
    assert window.highest == (1 << 62) - 1
