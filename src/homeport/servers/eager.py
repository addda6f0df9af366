"""Coroutines that run at once, and become a task only if they have to wait.

Why: most commands end without waiting for anything, and a task each would cost more than the command. The one rule:
up to its first wait a coroutine runs inside the caller and must not ask for the current task (so no `asyncio.timeout`).
Where that wait is a `Moment`, it needs no task afterwards either.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Moment:
    """A wait of a coroutine that `start` runs outside any task: less than a future, and no task is needed for it."""

    __slots__ = ("_go_on", "_loop", "_settled", "_value")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._settled = False
        self._value: object = None
        self._go_on: Callable[[], object] | None = None

    def __await__(self) -> Generator[Moment, None, object]:
        if not self._settled:
            yield self
        return self._value

    def done(self) -> bool:
        """Whether it was settled."""
        return self._settled

    def set_result(self, value: object) -> None:
        """The wait is over: the coroutine goes on with `value` in the loop's next round."""
        self._settled, self._value = True, value
        if self._go_on is not None:
            self._loop.call_soon(self._go_on)

    def then(self, go_on: Callable[[], object]) -> None:
        """Call `go_on` when it is over. For this module alone."""
        self._go_on = go_on


def start(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
    """Run `coroutine` up to its first wait. None when it has ended by then, else what is done when the rest of it is.

    Raises what the coroutine raised before its first wait.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    if type(waits_for) is Moment:
        return _Outside(coroutine, loop, waits_for).ended
    return loop.create_task(_rest(coroutine, waits_for))


class _Outside:
    """The rest of a coroutine, outside any task for as long as it waits for moments alone."""

    __slots__ = ("_coroutine", "_loop", "ended")

    def __init__(self, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, first: Moment) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self.ended: asyncio.Future[None] = loop.create_future()
        first.then(self._go_on)

    def _go_on(self) -> None:
        try:
            waits_for = self._coroutine.send(None)
        except StopIteration:
            self.ended.set_result(None)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the end, as a task does
            self.ended.set_exception(error)
        else:
            if type(waits_for) is Moment:
                waits_for.then(self._go_on)
            else:
                self._loop.create_task(_rest(self._coroutine, waits_for)).add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self.ended.cancel()
        elif (error := task.exception()) is not None:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)


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
