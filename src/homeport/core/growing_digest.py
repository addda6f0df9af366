"""The SHA-256 of a file while it is being written: hashed beside the writing, in another thread, when it is large.

The rule: what is hashed is what was written, read again from the kernel's memory. So a buffer belongs to its owner as
soon as it is written, the hash may lag behind by `_LAG_MAX_BYTES` and no more, and however many uploads there are, as
many threads as processors hash.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from homeport.core.errno_table import storage_error
from homeport.core.errors import HomeportError, StorageFailed

_ALONE_BYTES = 1024 * 1024  # up to here a file is hashed where it is written: handing over would take longer
_STEP_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024  # stays in the processor's second cache
_LAG_MAX_BYTES = 16 * 1024 * 1024


class Beside:
    """Threads for what is done beside the writing, made when first needed. One for a whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._processors = os.cpu_count() or 1
        self._users = 0

    def join(self) -> bool:
        """Whether one more upload may have its bytes hashed beside it; it is to `leave` then."""
        with self._lock:
            if self._users >= self._processors:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """The end of what `join` began."""
        with self._lock:
            self._users -= 1

    def submit(self, work: Callable[[], None]) -> None:
        """Have `work` done soon."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._processors, thread_name_prefix="homeport-hash")
        self._threads.submit(work)


class GrowingDigest:
    """The digest of the file `fd` from its beginning, as it grows at its end. `stop` it before `fd` is closed."""

    __slots__ = ("_beside", "_block", "_done", "_fd", "_hash", "_joined", "_queued", "_size", "_stopped", "_turn")

    def __init__(self, fd: int, beside: Beside) -> None:
        self._fd = fd
        self._beside = beside
        self._block: memoryview | None = None  # kept: memory that is new costs as much as the hash
        self._hash = hashlib.sha256()
        self._turn = threading.Lock()  # held by who hashes
        self._size = 0
        self._done = 0
        self._joined: bool | None = None  # None: not large yet
        self._queued = False
        self._stopped = False

    def start(self, size: int) -> None:
        """Take in the `size` bytes that are there already. Raises StorageError."""
        self._size = size
        self._catch_up()

    def grew(self, piece: memoryview) -> None:
        """`piece` was written at the end."""
        size = self._size = self._size + len(piece)
        if self._joined is None and size > _ALONE_BYTES:
            self._joined = self._beside.join()
        if not self._joined:
            self._hash.update(piece)
            self._done = size
        elif size - self._done >= _LAG_MAX_BYTES:
            self._catch_up()
        elif size - self._done >= _STEP_BYTES and not self._queued:
            self._queued = True
            self._beside.submit(self._run)

    def hexdigest(self) -> str:
        """The digest of all that was written. Raises StorageError."""
        self._catch_up()
        return self._hash.hexdigest()

    def stop(self) -> None:
        """Read no more; may be called again."""
        self._stopped = True
        with self._turn:
            joined, self._joined = self._joined, False
            self._block = None
        if joined:
            self._beside.leave()

    def _run(self) -> None:
        try:
            self._catch_up()
        except HomeportError:
            pass  # `hexdigest` meets it again
        finally:
            self._queued = False

    def _catch_up(self) -> None:
        if self._done == self._size:
            return
        with self._turn:
            block = self._block = self._block or memoryview(bytearray(_READ_BYTES))
            while self._done < self._size and not self._stopped:
                room = block[: self._size - self._done]
                try:
                    count = os.preadv(self._fd, [room], self._done)
                except OSError as error:
                    raise storage_error(error) from error
                if not count:
                    raise StorageFailed("what was written is gone")
                self._hash.update(room[:count])
                self._done += count
