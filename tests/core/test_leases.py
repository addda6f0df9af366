from __future__ import annotations

import pytest

from homeport.core.count import Count
from homeport.core.leases import LEASE_BYTES, LEASE_FILES, NOTHING, Grant, Lease, Room

GIB = 1024**3
PLENTY = Count(LEASE_BYTES, LEASE_FILES)


@pytest.mark.parametrize(
    ("room", "need", "credit", "expected"),
    [
        (Room(NOTHING, None, None), Count(10, 1), NOTHING, Grant(Count(10, 1), PLENTY, NOTHING)),
        (Room(NOTHING, 100 * GIB, 10**6), Count(10, 1), NOTHING, Grant(Count(10, 1), PLENTY, NOTHING)),
        (Room(NOTHING, 810, 81), Count(10, 1), NOTHING, Grant(Count(10, 1), Count(100, 10), NOTHING)),
        (Room(Count(90, 9), 100, 10), Count(10, 1), NOTHING, Grant(Count(10, 1), NOTHING, NOTHING)),
        (Room(Count(90, 9), 100, 10), Count(11, 0), NOTHING, None),
        (Room(Count(90, 9), 100, 10), Count(0, 2), NOTHING, None),
        (Room(Count(90, 9), 100, 10), Count(11, 2), Count(1, 1), Grant(Count(10, 1), NOTHING, Count(1, 1))),
        (Room(Count(90, 9), 100, 10), Count(11, 2), Count(1, 0), None),
        (Room(Count(120, 12), 100, 10), Count(5, 1), Count(5, 1), Grant(NOTHING, NOTHING, Count(5, 1))),
        (Room(Count(120, 12), 100, 10), Count(-5, 0), NOTHING, Grant(Count(-5, 0), NOTHING, NOTHING)),
    ],
)
def test_grants(room: Room, need: Count, credit: Count, expected: Grant | None) -> None:
    assert room.grant(need, credit, ahead=True) == expected


def test_nothing_ahead_where_none_is_asked() -> None:
    assert Room(NOTHING, None, None).grant(Count(1), NOTHING, ahead=False) == Grant(Count(1), NOTHING, NOTHING)


@pytest.mark.parametrize(
    ("size", "files", "works"),
    [(10, 2, True), (11, 0, False), (0, 3, False), (-5, 0, True), (0, 0, True), (-5, 3, False)],
)
def test_spending_is_all_or_nothing(size: int, files: int, works: bool) -> None:
    lease = Lease(1)
    lease.put(Count(10, 2))
    assert lease.spend(size, files, 3, 1) is works
    assert lease.balance() == (Count(10 - size, 2 - files) if works else Count(10, 2))
    assert lease.aside() == (Count(3, 1) if works else NOTHING)
