"""Waiting for a socket without a thread: until it can be read or written, until a time is up, or until told to stop.

The one rule: whoever closes a descriptor has ended every wait for it first, because the loop would otherwise watch a
number that soon belongs to somebody else.
"""

from __future__ import annotations

import asyncio
import enum


class Side(enum.Enum):
    """What a socket shall be ready for."""

    READ = "read"
    WRITE = "write"


class Woken(enum.Enum):
    """Why a wait has ended."""

    READY = "ready"
    LATE = "late"
    INTERRUPTED = "interrupted"


class Waits:
    """The waits of one activity, one at a time. `interrupt` ends the one under way and every later one at once."""

    __slots__ = ("_future", "interrupted")

    def __init__(self) -> None:
        self.interrupted = False
        self._future: asyncio.Future[Woken] | None = None

    def interrupt(self) -> None:
        """Wait no more."""
        self.interrupted = True
        if self._future is not None:
            _settle(self._future, Woken.INTERRUPTED)

    async def ready(self, fd: int, side: Side, timeout_s: float) -> Woken:
        """Wait until `fd` is ready for `side`, `timeout_s` seconds at most.

        An error or a hang-up on the socket counts as ready: the next call on it tells.
        """
        loop = asyncio.get_running_loop()
        watch, forget = (
            (loop.add_reader, loop.remove_reader) if side is Side.READ else (loop.add_writer, loop.remove_writer)
        )
        future: asyncio.Future[Woken] = loop.create_future()
        self._future = future
        if self.interrupted:
            return Woken.INTERRUPTED
        watch(fd, _settle, future, Woken.READY)
        timer = loop.call_later(max(0.0, timeout_s), _settle, future, Woken.LATE)
        try:
            return await future
        finally:
            timer.cancel()
            forget(fd)

    async def pause(self, seconds: float) -> Woken:
        """Wait for `seconds`; LATE when they have passed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Woken] = loop.create_future()
        self._future = future
        if self.interrupted:
            return Woken.INTERRUPTED
        timer = loop.call_later(seconds, _settle, future, Woken.LATE)
        try:
            return await future
        finally:
            timer.cancel()


def _settle(future: asyncio.Future[Woken], why: Woken) -> None:
    if not future.done():
        future.set_result(why)
