"""Coroutines that run at once, and become a task only if they have to wait.

Why: most commands end without waiting for anything, and a task each would cost more than the command. The one rule:
up to its first wait a coroutine runs inside the caller and must not ask for the current task (so no `asyncio.timeout`).
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


def start(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None] | None:
    """Run `coroutine` up to its first wait. None when it has ended by then, else the task that runs the rest of it.

    Raises what the coroutine raised before its first wait.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return loop.create_task(_rest(coroutine, waits_for))


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    while True:
        try:
            sent = yield waits_for
        except BaseException as error:  # noqa: BLE001 - thrown into the coroutine, whose business it is
            step = _throw(coroutine, error)
        else:
            step = _send(coroutine, sent)
        if step is _ENDED:
            return
        waits_for = step


_ENDED = object()


def _send(coroutine: Coroutine[Any, Any, None], value: Any) -> Any:
    try:
        return coroutine.send(value)
    except StopIteration:
        return _ENDED


def _throw(coroutine: Coroutine[Any, Any, None], error: BaseException) -> Any:
    try:
        return coroutine.throw(error)
    except StopIteration:
        return _ENDED
