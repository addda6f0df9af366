"""Running a test's coroutine on a named event loop, in debug mode, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import uvloop

T = TypeVar("T")
LIMIT_S = 30.0

FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Run(Protocol):
    def __call__(self, main: Coroutine[Any, Any, T], /) -> T: ...


def run_on(loop: str, main: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        return await asyncio.wait_for(main, LIMIT_S)

    with asyncio.Runner(debug=True, loop_factory=FACTORIES[loop]) as runner:
        return runner.run(limited())


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Let the loop run until `condition` holds; fails when it does not within a generous time."""
    give_up_at = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < give_up_at, "it never came to be"
        await asyncio.sleep(0.001)
