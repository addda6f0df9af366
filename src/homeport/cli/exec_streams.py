"""Standard streams of `homeport exec`: bytes between file descriptors that may block and a loop that must not.

The one rule: a thread for each stream that can block, and at no time more than a fixed amount of bytes in between.
"""

from __future__ import annotations

import codecs
import json
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

MAX_PENDING_BYTES = 1024 * 1024
_READ_BYTES = 64 * 1024


class Shape(Protocol):
    """What becomes of output before it is written."""

    def __call__(self, data: bytes, *, final: bool = False) -> bytes: ...


def unchanged(data: bytes, *, final: bool = False) -> bytes:  # noqa: ARG001 - a Shape
    """Output as the command wrote it."""
    return data


def decoded(charset: str) -> Shape:
    """Output in `charset` as UTF-8, however its characters are cut into pieces. What is none becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder(charset)("replace")

    def shape(data: bytes, *, final: bool = False) -> bytes:
        return decoder.decode(data, final).encode("utf-8", "replace")

    return shape


def as_events(stream: str, charset: str) -> Shape:
    """Output as JSON, one object for each piece of text; bytes that are no text come as surrogates."""
    decoder = codecs.getincrementaldecoder(charset)("surrogateescape")

    def shape(data: bytes, *, final: bool = False) -> bytes:
        text = decoder.decode(data, final)
        if not text:
            return b""
        return json.dumps({"event": "output", "stream": stream, "text": text}).encode("ascii") + b"\n"

    return shape


class Spout:
    """Writes to a file descriptor from a thread of its own. `call_soon` brings a call into the loop."""

    def __init__(self, fd: int, shape: Shape, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self.taken_bytes = 0
        self.failure: OSError | None = None
        self.freed: Callable[[], None] = lambda: None
        self.broken: Callable[[], None] = lambda: None
        self._fd = fd
        self._shape = shape
        self._call_soon = call_soon
        # Pieces as they came: put together into one block they would be copied, and leave holes in the heap.
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._state = threading.Condition()
        self._is_full = False
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name=f"output-{fd}", daemon=True)
        self._thread.start()

    def take(self, data: bytes) -> bool:
        """See `client.ssh.command.Sink`."""
        self.taken_bytes += len(data)
        shaped = self._shape(data)
        with self._state:
            if shaped and self.failure is None:
                self._pending.append(shaped)
                self._pending_bytes += len(shaped)
            self._is_full = self._pending_bytes > MAX_PENDING_BYTES
            self._state.notify()
            return not self._is_full

    @property
    def is_full(self) -> bool:
        """See `client.ssh.command.Sink`."""
        with self._state:
            return self._is_full

    def finish(self) -> None:
        """Wait until everything is written. Raises what writing has raised."""
        with self._state:
            if last := self._shape(b"", final=True):
                self._pending.append(last)
            self._is_ending = True
            self._state.notify()
        while self._thread.is_alive():
            self._thread.join(_LOOK_EVERY_S)  # in pieces, so that a signal is heard
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        while (data := self._next()) is not None:
            try:
                _write_all(self._fd, data)
            except OSError as failure:
                self._fail(failure)
                return

    def _next(self) -> bytes | None:
        with self._state:
            while not self._pending and not self._is_ending:
                self._state.wait()
            if not self._pending:
                return None
            data = self._pending.popleft()
            self._pending_bytes -= len(data)
            if self._is_full and self._pending_bytes <= MAX_PENDING_BYTES // 2:
                self._is_full = False
                self._call_soon(self.freed)
            return data

    def _fail(self, failure: OSError) -> None:
        with self._state:
            self.failure = failure
            self._pending.clear()
            self._pending_bytes = 0
            self._is_full = False
        self._call_soon(self.freed)
        self._call_soon(self.broken)


class Feed:
    """Reads a file descriptor in a thread of its own; one piece at a time is under way into the loop."""

    def __init__(
        self, fd: int, heard: Callable[[bytes], bool], call_soon: Callable[[Callable[[], None]], object]
    ) -> None:
        """`heard` is called in the loop, with b"" at the end, and says whether the next piece may come at once."""
        self._fd = fd
        self._heard = heard
        self._call_soon = call_soon
        self._go_on = threading.Semaphore(1)
        self._thread = threading.Thread(target=self._run, name="input", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def go_on(self) -> None:
        """In the loop: the next piece may come."""
        self._go_on.release()

    def _run(self) -> None:
        data = b"begin"
        while data:
            self._go_on.acquire()
            try:
                data = os.read(self._fd, _READ_BYTES)
            except OSError:  # a terminal that is gone, or a descriptor that was never open
                data = b""
            self._call_soon(lambda data=data: self._hear(data))  # type: ignore[misc]

    def _hear(self, data: bytes) -> None:
        if self._heard(data):
            self._go_on.release()


_LOOK_EVERY_S = 0.1


def _write_all(fd: int, data: bytes) -> None:
    with memoryview(data) as left:
        at = 0
        while at < len(left):
            try:
                at += os.write(fd, left[at:])
            except BlockingIOError:  # whoever made the pipe wanted it so
                _wait_writable(fd)


def _wait_writable(fd: int) -> None:
    import select

    select.select([], [fd], [], _LOOK_EVERY_S)
