"""A relay between a client and a server that counts what passes, and acts at a given byte.

The one rule: not a byte beyond the one that was named is handed on before the action has been done.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_PIECE_BYTES = 64 * 1024
UP, DOWN = "up", "down"


@dataclass
class Trap:
    """What is to happen when `at` bytes have passed in `direction`."""

    direction: str
    at: int
    act: Callable[[], None]


class CountingProxy:
    """Relays to a port of this machine. `passed` counts the bytes of either direction, `connections` those made."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.passed = {UP: 0, DOWN: 0}
        self.connections = 0
        self._open = 0
        self._trap: Trap | None = None
        self._lock = threading.Lock()
        self._may_pass = threading.Event()
        self._may_pass.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, trap: Trap | None = None) -> None:
        """Count from nothing."""
        with self._lock:
            self.passed = {UP: 0, DOWN: 0}
            self.connections = 0
            self._trap = trap

    def disarm(self) -> None:
        """Whatever was to happen does not."""
        with self._lock:
            self._trap = None

    def hold(self) -> None:
        """Keep who connects from now on waiting, as a line that is down does."""
        self._may_pass.clear()

    def release(self) -> None:
        """Let them through."""
        self._may_pass.set()

    def wait_until_quiet(self, within_s: float = 20.0) -> None:
        """Until no connection is open. Raises TimeoutError."""
        ends_at = time.monotonic() + within_s
        while self._open:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{self._open} connections are still open after {within_s:g} s")
            time.sleep(0.01)

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            self._may_pass.wait()
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self.connections += 1
                self._open += 1
            threading.Thread(target=self._relay, args=(near, far), daemon=True).start()

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, self._counted():
            other = threading.Thread(target=self._pass_on, args=(far, near, DOWN), daemon=True)
            other.start()
            self._pass_on(near, far, UP)
            other.join()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    def _pass_on(self, source: socket.socket, target: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE_BYTES):
                trap = self._sprung(direction, len(data))
                if trap is None:
                    target.sendall(data)
                    self._count(direction, len(data))
                    continue
                first = max(0, trap.at - self.passed[direction])
                target.sendall(data[:first])
                self._count(direction, first)
                trap.act()
                target.sendall(data[first:])  # to whoever is still there
                self._count(direction, len(data) - first)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _sprung(self, direction: str, amount: int) -> Trap | None:
        """The trap, once, when the next `amount` bytes reach it."""
        with self._lock:
            trap = self._trap
            if trap is None or trap.direction != direction or self.passed[direction] + amount < trap.at:
                return None
            self._trap = None
            return trap

    def _count(self, direction: str, amount: int) -> None:
        with self._lock:
            self.passed[direction] += amount
