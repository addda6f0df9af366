"""Requests on one path in order, all others side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from homeport.core.paths import ROOT
from homeport.servers.hptp.turns import Turns

A, B, C = (ROOT.join(name) for name in "abc")


class Line:
    """Who has started, in order; `end` of each gives its paths back."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.started: list[str] = []
        self.end: dict[str, Callable[[], None]] = {}

    def change(self, name: str, *paths: object) -> None:
        self.end[name] = self.turns.change(paths, partial(self.started.append, name))  # type: ignore[arg-type]

    def look(self, name: str, path: object) -> None:
        self.turns.look(path, partial(self.started.append, name))  # type: ignore[arg-type]


def test_two_who_change_one_path_come_after_each_other() -> None:
    line = Line()
    line.change("one", A)
    line.change("two", A)
    line.change("other", B)
    assert line.started == ["one", "other"]
    line.end["one"]()
    assert line.started == ["one", "other", "two"]
    line.end["two"]()
    line.change("three", A)
    assert line.started[-1] == "three"


def test_whoever_looks_waits_for_changes_and_for_no_look() -> None:
    line = Line()
    line.look("free", A)
    line.change("one", A)
    line.look("early", A)
    line.change("two", A)
    line.look("late", A)
    assert line.started == ["free", "one"]
    line.end["one"]()
    assert line.started == ["free", "one", "early", "two"]
    line.end["two"]()
    assert line.started == ["free", "one", "early", "two", "late"]


def test_two_who_exchange_names_do_not_wait_for_each_other() -> None:
    line = Line()
    line.change("there", A, B)
    line.change("back", B, A)
    line.change("same", C, C)
    assert line.started == ["there", "same"]
    line.end["there"]()
    assert line.started == ["there", "same", "back"]


def test_who_gives_up_while_waiting_keeps_nothing() -> None:
    line = Line()
    line.change("one", B)
    line.change("both", A, B)  # has a, waits for b
    line.change("three", A)
    line.end["both"]()
    assert line.started == ["one", "three"]
    line.change("four", B)
    line.end["one"]()
    assert line.started == ["one", "three", "four"]


def test_a_thousand_who_end_at_once_stand_on_nobodys_shoulders() -> None:
    turns, count = Turns(), 0
    first = turns.change([A], lambda: None)
    ends: list[Callable[[], None]] = []

    def at_once() -> None:
        nonlocal count
        count += 1
        ends[count]()

    ends.append(first)
    ends += [turns.change([A], at_once) for _ in range(3000)]
    first()
    assert count == 3000
