"""Reading and writing pipes and terminals from the event loop, without a buffer of our own.

The one rule: nothing is read that nobody has asked for, and nothing is taken that cannot be written: so a reader that
stops holds up the writer behind it, and memory stays where it is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress


class Outlet:
    """What comes out of a descriptor in non-blocking mode. One reads at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._closed = False

    async def read(self, most: int) -> bytes:
        """Up to `most` bytes as soon as there are some; nothing at the end."""
        while not self._closed:
            try:
                return os.read(self._descriptor, most)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _ready(self._descriptor, loop.add_reader, loop.remove_reader)
            except OSError:  # EIO: nobody has the terminal's other side open any more (pty(7))
                return b""
        return b""

    def close(self) -> None:
        """Close the descriptor; nobody may be reading."""
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)


class Inlet:
    """What goes into a descriptor in non-blocking mode. One writes at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._closed = False

    async def write(self, data: bytes) -> bool:
        """Write all of it; whether somebody still reads."""
        left = memoryview(data)
        while left and not self._closed:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _ready(self._descriptor, loop.add_writer, loop.remove_writer)
            except OSError:  # EPIPE, EIO
                return False
        return not self._closed

    def close(self) -> None:
        """Close the descriptor, which is the end of the input; nobody may be writing."""
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)


async def readable(descriptor: int) -> None:
    """Wait until the descriptor can be read: for a process's, until it has ended."""
    loop = asyncio.get_running_loop()
    await _ready(descriptor, loop.add_reader, loop.remove_reader)


async def _ready(
    descriptor: int, add: Callable[[int, Callable[[], None]], None], remove: Callable[[int], bool]
) -> None:
    came: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell() -> None:
        if not came.done():
            came.set_result(None)

    add(descriptor, tell)
    try:
        await came
    finally:
        with suppress(OSError, ValueError):
            remove(descriptor)
