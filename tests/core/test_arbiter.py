from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.arbiter import Arbiter, Turn, at_once, in_thread, next_to_give_way
from homeport.core.errors import QuotaExceeded

REFUSAL = QuotaExceeded("bytes", 10, 0, 1)


class Growing:
    """An upload that notes who told it to give way, and leaves when it is asked to."""

    def __init__(self, arbiter: Arbiter, account_id: int = 1) -> None:
        self.asked = 0
        self.leave: Callable[[], None] = lambda: arbiter.leave(account_id, self.turn)
        self.turn = arbiter.enter(account_id, self)

    def give_way(self, error: QuotaExceeded) -> None:
        assert error is REFUSAL
        self.asked += 1
        self.leave()


@pytest.fixture
def arbiter() -> Arbiter:
    return Arbiter("here", at_once, lambda: 5)


@pytest.mark.parametrize(
    ("asking", "others", "victim"),
    [
        ("1 a", ["2 a", "3 b"], "3 b"),
        ("3 a", ["2 a", "1 b"], "3 a"),
        ("2 a", ["2 b", None], "2 b"),
        ("2 b", ["2 a", None], "2 b"),
        ("1 a", [], None),
        ("1 a", ["1 a", None], None),
    ],
)
def test_the_youngest_gives_way_if_there_are_two(asking: Turn, others: list[Turn | None], victim: Turn | None) -> None:
    assert next_to_give_way(asking, others) == victim


@given(st.dictionaries(st.sampled_from("abc"), st.sets(st.integers(0, 99), min_size=1), min_size=1), st.data())
def test_whoever_asks_names_the_same(begun: dict[str, set[int]], data: st.DataObject) -> None:
    """Two that are short at once in different processes never let two give way, nor wait for each other."""
    turns = {process: sorted(f"{moment:020d} {process}" for moment in moments) for process, moments in begun.items()}
    everybody = sorted(turn for own in turns.values() for turn in own)
    process = data.draw(st.sampled_from(sorted(turns)))
    asking = data.draw(st.sampled_from(turns[process]))
    rival = next((turn for turn in reversed(turns[process]) if turn != asking), None)
    told = [own[-1] for other, own in turns.items() if other != process]
    assert next_to_give_way(asking, [rival, *told]) == (everybody[-1] if len(everybody) > 1 else None)


def test_turns_sort_by_age_even_when_the_clock_stands_or_goes_back() -> None:
    moments = iter([5, 5, 3, 99, 98])
    arbiter = Arbiter("here", clock=lambda: next(moments))
    turns = [Growing(arbiter).turn for _ in range(5)]
    assert turns == sorted(set(turns))
    assert turns[3] == "00000000000000000099 here"
    assert turns < [Growing(Arbiter("there")).turn]


def test_the_youngest_is_who_began_last_and_is_still_there(arbiter: Arbiter) -> None:
    old, young = Growing(arbiter), Growing(arbiter)
    assert arbiter.youngest(1) == young.turn
    assert arbiter.youngest(1, besides=young.turn) == old.turn
    assert arbiter.youngest(2) is None
    young.leave()
    young.leave()
    assert arbiter.youngest(1) == old.turn
    assert arbiter.youngest(1, besides=old.turn) is None
    assert arbiter.rival(1, old.turn) is old
    assert arbiter.rival(2, old.turn) is None
    old.leave()
    assert not arbiter._rivals


def test_who_is_dismissed_leaves_and_who_left_is_not_asked(arbiter: Arbiter) -> None:
    young = Growing(arbiter)
    assert arbiter.dismiss(1, young.turn, REFUSAL)
    assert arbiter.dismiss(1, young.turn, REFUSAL)
    assert young.asked == 1
    assert not arbiter._asked


def test_who_cannot_leave_at_once_is_asked_once(arbiter: Arbiter) -> None:
    busy = Growing(arbiter)
    leave, busy.leave = busy.leave, lambda: None
    assert not arbiter.dismiss(1, busy.turn, REFUSAL)
    assert not arbiter.dismiss(1, busy.turn, REFUSAL)
    assert busy.asked == 1
    leave()
    assert arbiter.dismiss(1, busy.turn, REFUSAL)


def test_nobody_waits_for_who_is_dismissed() -> None:
    done = threading.Event()
    in_thread(done.set)
    assert done.wait(30)


def test_the_end_of_the_process_is_the_end_of_its_uploads(arbiter: Arbiter) -> None:
    Growing(arbiter)
    arbiter.forget()
    assert arbiter.youngest(1) is None


def test_one_of_an_account_looks_for_room_at_a_time(arbiter: Arbiter) -> None:
    with arbiter.searching(1), arbiter.searching(2):
        assert arbiter._searching[1].locked()
        assert not arbiter._searching[1].acquire(blocking=False)
    with arbiter.searching(1):
        pass
