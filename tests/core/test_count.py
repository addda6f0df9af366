from __future__ import annotations

import pytest

from homeport.core.count import Count
from homeport.core.entries import Entry, Kind


@pytest.mark.parametrize(
    ("kind", "cost"),
    [(Kind.FILE, Count(7, 1)), (Kind.DIRECTORY, Count(0, 1)), (Kind.LINK, Count(0, 1)), (Kind.OTHER, Count(0, 1))],
)
def test_only_files_cost_bytes(kind: Kind, cost: Count) -> None:
    assert Count.of(Entry("name", kind, 7, 0, 0o600, 1, 1, 1)) == cost


def test_amounts_add_and_subtract() -> None:
    assert Count(5, 2) + Count(1, 1) - Count(7, 1) == Count(-1, 2)
    assert Count() == Count(0, 0)
