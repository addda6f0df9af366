from __future__ import annotations

from dataclasses import dataclass

import pytest

from homeport.servers.ftp.giving_way import FORGOTTEN_S, who_gives_way

NOW = 100.0
OLD = NOW - FORGOTTEN_S


@dataclass(frozen=True)
class One:
    """An announced port as a row of the table says it."""

    owner: str
    is_held: bool = False
    since: float = NOW - 1


# (what is announced, oldest first; the place of what bob gets, None when nobody gives way)
CASES: list[tuple[list[One], int | None]] = [
    ([], None),
    ([One("eve")], None),
    ([One("eve"), One("eve")], 0),
    ([One("dave"), One("eve"), One("eve")], 1),
    ([One("eve", is_held=True), One("eve")], 1),
    ([One("eve", is_held=True), One("eve", is_held=True)], 0),
    ([One("bob"), One("eve"), One("eve")], None),
    ([One("bob"), One("eve"), One("eve"), One("eve")], 1),
    ([One("bob"), One("bob")], None),
    ([One("bob", since=OLD), One("bob")], 0),
    ([One("eve", is_held=True, since=OLD)], None),
    ([One("eve", is_held=True, since=OLD), One("dave", since=OLD)], 1),
]


@pytest.mark.parametrize(("announced", "place"), CASES)
def test_who_has_most_gives_way_and_between_equals_what_was_forgotten(announced: list[One], place: int | None) -> None:
    expected = None if place is None else announced[place]
    assert who_gives_way(announced, "bob", NOW) is expected
