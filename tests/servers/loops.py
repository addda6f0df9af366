"""Running a test's coroutine on a named event loop, in debug mode, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
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
