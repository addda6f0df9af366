"""Requests that name the same path have their turns in the order in which they came; all others run side by side.

The one rule: whoever changes a path waits for those before him who change it, and whoever looks waits for them, too;
nobody waits for one who merely looks, for a look at a file holds one version of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from homeport.core.paths import VirtualPath


class _Waiting(NamedTuple):
    start: Callable[[], None]
    changes: bool


class Turns:
    """The paths that are being changed, each with those who wait for it. For the event loop's thread."""

    def __init__(self) -> None:
        self._held: dict[VirtualPath, deque[_Waiting]] = {}
        self._freed: deque[VirtualPath] = deque()
        self._calling = False

    def look(self, path: VirtualPath, start: Callable[[], None]) -> None:
        """Call `start` when nobody who came before changes `path` any more; now, if nobody does."""
        if not self._wait(path, _Waiting(start, changes=False)):
            start()

    def change(self, paths: Sequence[VirtualPath], start: Callable[[], None]) -> Callable[[], None]:
        """Call `start` when all `paths` are this request's; returns what gives them back, or ends the waiting."""
        # In one order for all, or two who exchange two names would wait for each other.
        change = _Change(self, sorted(set(paths), key=lambda path: path.segments), start)
        change.take_next()
        return change.end

    def take(self, path: VirtualPath, waiting: _Waiting) -> bool:
        """Whether `path` is the caller's now; else `waiting` is called when it is. For _Change alone."""
        if self._wait(path, waiting):
            return False
        self._held[path] = deque()
        return True

    def give_back(self, path: VirtualPath) -> None:
        """Let those have it who wait. For _Change alone."""
        self._freed.append(path)
        if self._calling:  # a thousand who end at once must not stand on each other's shoulders
            return
        self._calling = True
        try:
            while self._freed:
                self._pass_on(self._freed.popleft())
        finally:
            self._calling = False

    def _wait(self, path: VirtualPath, waiting: _Waiting) -> bool:
        line = self._held.get(path)
        if line is not None:
            line.append(waiting)
        return line is not None

    def _pass_on(self, path: VirtualPath) -> None:
        line = self._held[path]
        while line:
            following = line.popleft()
            following.start()
            if following.changes:
                return
        del self._held[path]


class _Change:
    """One request that changes `paths`, on its way to having all of them."""

    __slots__ = ("_mine", "_over", "_paths", "_start", "_turns")

    def __init__(self, turns: Turns, paths: list[VirtualPath], start: Callable[[], None]) -> None:
        self._turns = turns
        self._paths = paths
        self._start = start
        self._mine = 0
        self._over = False

    def take_next(self) -> None:
        while self._mine < len(self._paths):
            if not self._turns.take(self._paths[self._mine], _Waiting(self._taken, changes=True)):
                return
            self._mine += 1
        self._start()

    def end(self) -> None:
        self._over = True
        mine, self._mine = self._mine, 0
        for path in self._paths[:mine]:
            self._turns.give_back(path)
        self._paths = self._paths[mine:]

    def _taken(self) -> None:
        self._mine += 1
        if self._over:  # it gave up while it waited
            self.end()
        else:
            self.take_next()
