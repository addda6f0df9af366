"""The SHA-256 of a file while it is being written: hashed beside the writing, in another thread, when it is large.

The rule: what is hashed is what was written, read again from the kernel's memory. So a buffer belongs to its owner as
soon as it is written, the hash may lag behind by `_LAG_MAX_BYTES` and no more, and however many uploads there are, half
as many threads as processors hash: such an upload keeps two busy, and where there are no two for each, reading again
is work for nothing.
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
    """Threads for what is done beside the writing, made when first needed. One for a whole process.

    `processors`: how many there are, where the machine's number is not what counts.
    """

    def __init__(self, processors: int | None = None) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._most = (processors or os.cpu_count() or 1) // 2
        self._busy = 0

    @property
    def has_room(self) -> bool:
        """Whether `submit` would accept something now."""
        return self._busy < self._most

    def submit(self, work: Callable[[], None]) -> bool:
        """Have `work` done soon; False, and nothing is done, where that would be one too many at once."""
        with self._lock:
            if self._busy >= self._most:
                return False
            self._busy += 1
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="homeport-hash")
        self._threads.submit(self._run, work)
        return True

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._busy -= 1


class GrowingDigest:
    """The digest of the file `fd` from its beginning, as it grows at its end. `stop` it before `fd` is closed."""

    __slots__ = ("_beside", "_block", "_done", "_fd", "_hash", "_queued", "_size", "_stopped", "_turn")

    def __init__(self, fd: int, beside: Beside) -> None:
        self._fd = fd
        self._beside = beside
        self._block: memoryview | None = None  # kept: memory that is new costs as much as the hash
        self._hash = hashlib.sha256()
        self._turn = threading.Lock()  # held by who hashes
        self._size = 0
        self._done = 0
        self._queued = False  # work was submitted that may hash; the writer sets it, the work's end takes it back
        self._stopped = False

    def start(self, size: int) -> None:
        """Take in the `size` bytes that are there already. Raises StorageError."""
        self._size = size
        self._catch_up()

    def grew(self, piece: memoryview) -> None:
        """`piece` was written at the end."""
        before = self._size
        size = before + len(piece)
        if self._done == before and not self._queued and not (size > _ALONE_BYTES and self._beside.has_room):
            self._hash.update(piece)
            self._done = self._size = size
            return
        self._size = size
        if size - self._done >= _LAG_MAX_BYTES:
            self._catch_up()
        elif size - self._done >= _STEP_BYTES and not self._queued:
            self._queued = True
            if not self._beside.submit(self._run):
                self._queued = False
                self._catch_up()

    def hexdigest(self) -> str:
        """The digest of all that was written. Raises StorageError."""
        self._catch_up()
        return self._hash.hexdigest()

    def stop(self) -> None:
        """Read no more; may be called again."""
        self._stopped = True
        with self._turn:
            self._block = None

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
