"""Whose announced port is taken back when none is free: pure policy, decided here and done by PassivePorts.

The one rule: whoever has most gives way, so that nobody, with however many sessions, keeps the ports from the others.
Between equals nobody gives way, except with what has been left lying for longer than a client needs to come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from typing import Protocol, TypeVar

FORGOTTEN_S = 3.0  # a client that means it comes within a round trip or two
_MUCH_MORE = 2  # who has so many more than the asker has no fewer than he afterwards


class Announced(Protocol):
    """One announced port: whose it is, since when, and whether a transfer counts on it."""

    @property
    def owner(self) -> Hashable: ...

    @property
    def since(self) -> float: ...

    @property
    def is_held(self) -> bool: ...


A = TypeVar("A", bound=Announced)


def who_gives_way(announced: Collection[A], asker: Hashable, now: float) -> A | None:
    """Which of the `announced` (oldest first) is taken back for `asker` at the time `now`; None when none may be."""
    counts = Counter(one.owner for one in announced)
    if not counts:
        return None
    most = max(counts.values())
    if most - counts[asker] >= _MUCH_MORE:
        of_the_richest = [one for one in announced if counts[one.owner] == most]
        return next((one for one in of_the_richest if not one.is_held), of_the_richest[0])
    return next((one for one in announced if not one.is_held and now - one.since >= FORGOTTEN_S), None)
