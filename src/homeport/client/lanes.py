"""Many deeds over one connection in one thread: each is a coroutine that gives way where it must wait for the server.

The one rule: a deed is written once. What it asks of a connection that does one thing at a time is done at once, and it
never gives way; over a connection that does many, the thread goes on with another deed meanwhile.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from queue import SimpleQueue
from threading import Event
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

_MANY = 4096
_OWN = 96


class Source(Protocol):
    """Where news come from."""

    def arm(self, wake: Callable[[], None]) -> None:
        """Call `wake` once: when there are news, at once where there are some already. From any thread."""
        ...

    def hurry(self) -> None:
        """Nobody who asks goes on before there are news: what was said and is held back goes out now."""
        ...


@types.coroutine
def news(source: Source) -> Generator[Source, None, None]:
    """Give way until `source` has news; there may be none when it goes on, so look again."""
    yield source


def wait_for(deed: Coroutine[Any, Any, T]) -> T:
    """Do a deed to its end, waiting where it gives way."""
    while True:
        try:
            source = deed.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        woken = Event()
        try:
            source.arm(woken.set)
            source.hurry()
            woken.wait()
        except BaseException:
            deed.close()
            raise


class Lanes:
    """The deeds of one thread, at most `most` at a time. All methods are that thread's, and raise what deeds raise."""

    def __init__(self) -> None:
        self.most = 1
        self._active: set[Coroutine[Any, Any, None]] = set()
        self._ready: SimpleQueue[Coroutine[Any, Any, None]] = SimpleQueue()
        self._asked: set[Source] = set()  # armed since the last wait

    def start(self, deed: Coroutine[Any, Any, None]) -> None:
        """Do `deed` as far as it goes without waiting."""
        self._active.add(deed)
        self._step(deed)

    def run_until_room(self) -> None:
        """Go on with what can go on, and until there is room for one more."""
        while len(self._active) >= self.most:
            self._step(self._next())
        while self._active and not self._ready.empty():
            self._step(self._ready.get())

    def run_until_empty(self) -> None:
        """Until every deed is at its end."""
        while self._active:
            self._step(self._next())

    def drop(self) -> None:
        """Give up what is under way."""
        for deed in self._active:
            deed.close()
        self._active.clear()

    def _next(self) -> Coroutine[Any, Any, None]:
        """The next deed that can go on, waited for."""
        if self._ready.empty():
            for source in self._asked:
                source.hurry()
            self._asked.clear()
        return self._ready.get()

    def _step(self, deed: Coroutine[Any, Any, None]) -> None:
        try:
            source = deed.send(None)
        except BaseException as end:
            self._active.discard(deed)
            if not isinstance(end, StopIteration):
                raise
            return
        self._asked.add(source)
        source.arm(lambda: self._ready.put(deed))


def spare_descriptors() -> int:
    """How many files this process may have open at once, beyond what it needs for itself."""
    try:
        import resource
    except ImportError:  # no Unix: there the limit is far away
        return _MANY
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(soft, _MANY) - _OWN)
