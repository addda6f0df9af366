"""How much of the disk uploads leave alone, so that the database, the logs and administration work when it is full.

The rule: asking is cheap, for every block asks: the disk is looked at once a second, and before that when what has been
written since would pass the mark.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from homeport.core.errno_table import storage_error
from homeport.core.errors import StorageFull

_LOOK_EVERY_S = 1.0


class DiskRoom:
    """The file system of the folder `fd`, of which `reserve_bytes` stay free; 0: uploads may take all.

    For all threads of a process: a look more or less does no harm. `clock` gives seconds.
    """

    def __init__(self, fd: int, reserve_bytes: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.reserve_bytes = reserve_bytes
        self._fd = fd
        self._clock = clock
        self._left = 0  # above the reserve, as far as is known
        self._look_at = clock()

    def take(self, size: int) -> None:
        """`size` bytes are about to be written. Raises StorageFull when that would leave less than the reserve."""
        if not self.reserve_bytes:
            return
        if self._left < size or self._clock() >= self._look_at:
            self._look()
            if self._left < size:
                raise StorageFull
        self._left -= size

    def _look(self) -> None:
        try:
            found = os.fstatvfs(self._fd)
        except OSError as error:
            raise storage_error(error) from error
        self._left = found.f_bavail * found.f_frsize - self.reserve_bytes
        self._look_at = self._clock() + _LOOK_EVERY_S
