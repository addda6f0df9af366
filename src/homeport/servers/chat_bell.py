"""How workers tell each other that something was said in a room: a datagram with its number, on sockets in `run`.

The one rule: a bell is a hint. One that is lost costs a moment, for rooms are looked at now and then anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable

_NUMBER = struct.Struct(">Q")
_LOOK_EVERY_S = 1.0
_AT_ONCE = 64


class Bell:
    """One worker's: `heard` is called with the numbers that others ring."""

    def __init__(self, folder: str | os.PathLike[str], slot: int, heard: Callable[[int], None]) -> None:
        self._folder = folder
        self._own = f"chat-{slot}.bell"
        self._heard = heard
        self._socket: socket.socket | None = None
        self._fd = -1
        self._others: list[str] = []
        self._look_at = 0.0

    def open(self) -> None:
        """Begin to listen. Raises OSError."""
        # A path through the folder's descriptor: a socket's may have 107 bytes, an instance's folder more.
        self._fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._own, dir_fd=self._fd)
            made.bind(self._path(self._own))
        except OSError:
            made.close()
            os.close(self._fd)
            raise
        self._socket = made
        asyncio.get_running_loop().add_reader(made.fileno(), self._read)

    def ring(self, room_id: int) -> None:
        """Tell all other workers."""
        if self._socket is None:
            return
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            names = os.listdir(self._fd)
            self._others = [
                name for name in names if name.startswith("chat-") and name.endswith(".bell") and name != self._own
            ]
        for name in self._others:
            with contextlib.suppress(OSError):  # it is gone, or has not read so many that this one says nothing new
                self._socket.sendto(_NUMBER.pack(room_id), self._path(name))

    def close(self) -> None:
        """Listen no more. Works twice."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        with contextlib.suppress(OSError):
            os.unlink(self._own, dir_fd=self._fd)
        os.close(self._fd)

    def _path(self, name: str) -> str:
        return f"/proc/self/fd/{self._fd}/{name}"

    def _read(self) -> None:
        rooms: set[int] = set()
        for _ in range(_AT_ONCE):
            try:
                assert self._socket is not None
                data = self._socket.recv(_NUMBER.size + 1)
            except OSError:
                break
            if len(data) == _NUMBER.size:
                rooms.add(_NUMBER.unpack(data)[0])
        for room_id in rooms:
            self._heard(room_id)
