"""A buffer is used again only when nobody looks at it."""

from __future__ import annotations

from homeport.protocols.rooms import Rooms


def test_a_buffer_that_nobody_looks_at_is_taken_again() -> None:
    rooms = Rooms(8, 2)
    first = rooms.take()
    assert len(first) == 8
    assert rooms.take() is first
    assert len(first) == 8


def test_a_buffer_that_is_looked_at_is_left_alone() -> None:
    rooms = Rooms(8, 2)
    first = rooms.take()
    piece = memoryview(first)[2:4]  # the whole view is gone, a part is not
    second = rooms.take()
    assert second is not first
    looked_at = memoryview(second)
    third = rooms.take()
    assert third is not first
    assert third is not second
    piece.release()
    looked_at.release()
    assert {id(rooms.take()), id(rooms.take())} == {id(first), id(second)}


def test_no_more_are_kept_than_was_said() -> None:
    rooms = Rooms(8, 1)
    with memoryview(rooms.take()):
        beyond = rooms.take()
        with memoryview(beyond):
            pass
    assert rooms.take() is not beyond


def test_a_few_that_are_held_for_long_do_not_hide_those_that_are_free() -> None:
    rooms = Rooms(8, 4)
    views = [memoryview(rooms.take()) for _ in range(4)]
    free = views.pop().obj
    taken = [rooms.take() for _ in range(4)]
    assert any(room is free for room in taken)
    assert not any(room is view.obj for room in taken for view in views)
