"""Waiting for a socket without a thread: until it can be read or written, until a time is up, or until told to stop.

The one rule: whoever closes a descriptor has ended every wait for it first, because the loop would otherwise watch a
number that soon belongs to somebody else.
"""

from __future__ import annotations

import asyncio
import enum
import select
from collections.abc import Callable

_AT_ONCE = 256  # sockets that are looked at before the loop has its turn


class Side(enum.Enum):
    """What a socket shall be ready for."""

    READ = "read"
    WRITE = "write"


class Woken(enum.Enum):
    """Why a wait has ended."""

    READY = "ready"
    LATE = "late"
    INTERRUPTED = "interrupted"


class Watch:
    """Sockets that become ready, many of them for a moment each: the loop watches one descriptor for all of them.

    A loop's own `add_reader` makes eight system calls for a wait, this makes three. Linux only, see `watch_of`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._waiting: dict[int, asyncio.Future[Woken]] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def close(self) -> None:
        """Nobody waits any more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def add(self, fd: int, side: Side, future: asyncio.Future[Woken]) -> None:
        """Settle `future` when `fd` is ready. `remove` must follow, before `fd` is closed."""
        self._epoll.register(fd, select.EPOLLIN if side is Side.READ else select.EPOLLOUT)
        self._waiting[fd] = future

    def remove(self, fd: int) -> None:
        """Wait for `fd` no more."""
        self._waiting.pop(fd, None)
        if not self._epoll.closed:
            self._epoll.unregister(fd)

    def _ready(self) -> None:
        for fd, _ in self._epoll.poll(0, _AT_ONCE):
            _settle(self._waiting[fd], Woken.READY)


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
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Woken] = loop.create_future()
        self._future = future
        if self.interrupted:
            return Woken.INTERRUPTED
        self._forget = self._watched(loop, fd, side, future), fd
        timer = loop.call_later(max(0.0, timeout_s), _settle, future, Woken.LATE)
        try:
            return await future
        finally:
            timer.cancel()
            self._forget_it()

    def _forget_it(self) -> None:
        """Take the descriptor out of the watch, once."""
        forgetting, self._forget = self._forget, None
        if forgetting is not None:
            forgetting[0](forgetting[1])

    def _watched(
        self, loop: asyncio.AbstractEventLoop, fd: int, side: Side, future: asyncio.Future[Woken]
    ) -> Callable[[int], object]:
        if self._watch is not None:
            self._watch.add(fd, side, future)
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
