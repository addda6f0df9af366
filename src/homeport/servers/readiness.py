"""Waiting for a socket without a thread: until it can be read or written, until a time is up, or until told to stop.

The one rule: whoever closes a descriptor has ended every wait for it first, because the loop would otherwise watch a
number that soon belongs to somebody else.
"""

from __future__ import annotations

import asyncio
import enum
import select
from collections.abc import Callable
from typing import cast

from homeport.servers.eager import Moment

_AT_ONCE = 256  # sockets that are looked at before the loop has its turn
_LONG_S = 5.0  # of so long a time-out one may be late by a round of the clock: a timer each costs more than the wait
_ROUND_S = 0.5


class Side(enum.Enum):
    """What a socket shall be ready for."""

    READ = "read"
    WRITE = "write"


class Woken(enum.Enum):
    """Why a wait has ended."""

    READY = "ready"
    LATE = "late"
    INTERRUPTED = "interrupted"


_READ, _READY = Side.READ, Woken.READY  # reading a member from its class takes its time
_READABLE, _WRITABLE = getattr(select, "EPOLLIN", 0), getattr(select, "EPOLLOUT", 0)


class Watch:
    """Sockets that become ready, many of them for a moment each: the loop watches one descriptor for all of them.

    A loop's own `add_reader` makes eight system calls for a wait, this makes three. Linux only, see `watch_of`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._waiting: dict[int, tuple[asyncio.Future[Woken], float]] = {}
        self._clock: asyncio.TimerHandle | None = None
        loop.add_reader(self._epoll.fileno(), self._ready)

    def close(self) -> None:
        """Nobody waits any more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        if self._clock is not None:
            self._clock.cancel()

    def add(self, fd: int, side: Side, future: asyncio.Future[Woken], late_at: float) -> None:
        """Settle `future` when `fd` is ready, or soon after `late_at` (the loop's time).

        `remove` must follow, before `fd` is closed.
        """
        self._epoll.register(fd, _READABLE if side is _READ else _WRITABLE)
        self._waiting[fd] = future, late_at
        if self._clock is None:
            self._clock = self._loop.call_later(_ROUND_S, self._look_at_the_clock)

    def remove(self, fd: int) -> None:
        """Wait for `fd` no more."""
        self._waiting.pop(fd, None)
        if not self._epoll.closed:
            self._epoll.unregister(fd)

    def _ready(self) -> None:
        waiting = self._waiting
        for fd, _ in self._epoll.poll(0, _AT_ONCE):
            _settle(waiting[fd][0], _READY)

    def _look_at_the_clock(self) -> None:
        now = self._loop.time()
        for future, late_at in self._waiting.values():
            if late_at <= now:
                _settle(future, Woken.LATE)
        self._clock = self._loop.call_later(_ROUND_S, self._look_at_the_clock) if self._waiting else None


def watch_of(loop: asyncio.AbstractEventLoop) -> Watch | None:
    """A new watch, or None where the kernel has no epoll."""
    return Watch(loop) if hasattr(select, "epoll") else None


class Waits:
    """The waits of one activity, one at a time. `interrupt` ends the one under way and every later one at once."""

    __slots__ = ("_forget", "_future", "_watch", "interrupted")

    def __init__(self, watch: Watch | None = None) -> None:
        self.interrupted = False
        self._watch = watch
        self._future: asyncio.Future[Woken] | None = None
        self._forget: tuple[Callable[[int], object], int] | None = None

    def interrupt(self) -> None:
        """Wait no more: nothing watches the descriptor when this returns, so that it can be closed."""
        self.interrupted = True
        self._forget_it()
        if self._future is not None:
            _settle(self._future, Woken.INTERRUPTED)

    async def ready(self, fd: int, side: Side, timeout_s: float) -> Woken:
        """Wait until `fd` is ready for `side`, `timeout_s` seconds at most.

        An error or a hang-up on the socket counts as ready: the next call on it tells.
        """
        if self.interrupted:
            return Woken.INTERRUPTED
        loop = asyncio.get_running_loop()
        in_task = asyncio.current_task(loop) is not None
        # The two have in common what is asked of them here.
        future = loop.create_future() if in_task else cast("asyncio.Future[Woken]", Moment(loop))
        self._future = future
        timer: asyncio.TimerHandle | None = None
        self._forget = self._watched(loop, fd, side, future, loop.time() + timeout_s), fd
        if self._watch is None or timeout_s < _LONG_S:
            timer = loop.call_later(max(0.0, timeout_s), _settle, future, Woken.LATE)
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            self._forget_it()

    def _forget_it(self) -> None:
        """Take the descriptor out of the watch, once."""
        forgetting, self._forget = self._forget, None
        if forgetting is not None:
            forgetting[0](forgetting[1])

    def _watched(
        self, loop: asyncio.AbstractEventLoop, fd: int, side: Side, future: asyncio.Future[Woken], late_at: float
    ) -> Callable[[int], object]:
        if self._watch is not None:
            self._watch.add(fd, side, future, late_at)
            return self._watch.remove
        if side is Side.READ:
            loop.add_reader(fd, _settle, future, Woken.READY)
            return loop.remove_reader
        loop.add_writer(fd, _settle, future, Woken.READY)
        return loop.remove_writer

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
