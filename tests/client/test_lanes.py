"""Deeds that give way: many in one thread, one to its end, and what happens when they are given up."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from homeport.client.lanes import Lanes, news, spare_descriptors, wait_for


class Bell:
    """A source that a test rings."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.wakes: list[Callable[[], None]] = []
        self.armed = threading.Event()
        self._at_once = at_once
        self.hurried = 0
        self.answers_haste = False

    def arm(self, wake: Callable[[], None]) -> None:
        if self._at_once:
            wake()
        else:
            self.wakes.append(wake)
        self.armed.set()

    def hurry(self) -> None:
        self.hurried += 1
        if self.answers_haste:
            self.ring()

    def ring(self) -> None:
        self.wakes.pop(0)()


async def deed(bell: Bell, said: list[str], name: str) -> str:
    said.append(f"{name} begins")
    await news(bell)
    said.append(f"{name} ends")
    return name


async def lane(bell: Bell, said: list[str], name: str) -> None:
    await deed(bell, said, name)


async def failing(bell: Bell) -> None:
    await news(bell)
    raise ValueError("it failed")


def test_a_deed_is_done_to_its_end() -> None:
    assert wait_for(deed(Bell(at_once=True), [], "a")) == "a"


def test_a_deed_waits_for_another_thread() -> None:
    bell = Bell()
    said: list[str] = []
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(wait_for(deed(bell, said, "a"))))
    thread.start()
    assert bell.armed.wait(10)
    bell.ring()
    thread.join(10)
    assert done == ["a"]


def test_what_is_raised_while_waiting_gives_the_deed_up() -> None:
    closed: list[str] = []

    async def careful() -> None:
        try:
            await news(Interrupting())
        finally:
            closed.append("closed")

    class Interrupting:
        def arm(self, wake: Callable[[], None]) -> None:
            raise KeyboardInterrupt

        def hurry(self) -> None:
            raise AssertionError("nobody waits for it")

    with pytest.raises(KeyboardInterrupt):
        wait_for(careful())
    assert closed == ["closed"]


def test_one_at_a_time_runs_each_to_its_end() -> None:
    lanes, said = Lanes(), list[str]()
    bell = Bell(at_once=True)
    for name in "ab":
        lanes.start(lane(bell, said, name))
        lanes.run_until_room()
    assert said == ["a begins", "a ends", "b begins", "b ends"]


def test_sources_are_hurried_when_nobody_can_go_on_and_not_before() -> None:
    lanes, said, bells = Lanes(), list[str](), [Bell(), Bell()]
    lanes.most = 3
    for bell in bells:
        lanes.start(lane(bell, said, "a"))
        lanes.run_until_room()
    bells[0].ring()
    lanes.run_until_room()
    assert [bell.hurried for bell in bells] == [0, 0]
    bells[1].answers_haste = True
    lanes.run_until_empty()
    assert bells[1].hurried == 1
    assert said == ["a begins", "a begins", "a ends", "a ends"]


def test_many_are_under_way_as_far_as_there_is_room() -> None:
    lanes, said, bell = Lanes(), list[str](), Bell()
    lanes.most = 2
    lanes.start(lane(bell, said, "a"))
    lanes.run_until_room()
    lanes.start(lane(bell, said, "b"))
    bell.ring()
    lanes.run_until_room()
    assert said == ["a begins", "b begins", "a ends"]
    lanes.start(lane(bell, said, "c"))
    bell.ring()
    bell.ring()
    lanes.run_until_empty()
    assert said[3:] == ["c begins", "b ends", "c ends"]


def test_what_a_deed_raises_is_raised_and_the_rest_can_be_given_up() -> None:
    lanes, said, bell = Lanes(), list[str](), Bell()
    lanes.most = 3
    lanes.start(failing(bell))
    lanes.start(lane(bell, said, "a"))
    bell.ring()
    with pytest.raises(ValueError, match="it failed"):
        lanes.run_until_empty()
    lanes.drop()
    lanes.run_until_empty()
    assert said == ["a begins"]


def test_some_files_may_always_be_open() -> None:
    assert 1 <= spare_descriptors() <= 4000
