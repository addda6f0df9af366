"""Requests that name the same path have their turns in the order in which they came; all others run side by side.

The one rule: whoever changes paths waits for those before him who change one of them, and whoever looks waits for them,
too; nobody waits for one who merely looks, for a look at a file holds one version of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from homeport.core.paths import VirtualPath


class _Ticket:
    """One request in the lines of its paths. `before`: how many of these lines it does not lead yet."""

    __slots__ = ("before", "changes", "over", "paths", "start")

    def __init__(self, paths: Iterable[VirtualPath], start: Callable[[], None], *, changes: bool) -> None:
        self.paths = frozenset(paths)
        self.start = start
        self.changes = changes
        self.before = 0
        self.over = False


class Turns:
    """A line for each path that is being changed, led by who changes it. For the event loop's thread.

    Everybody joins all his lines when he comes, so nobody waits in a circle.
    """

    def __init__(self) -> None:
        self._lines: dict[VirtualPath, deque[_Ticket]] = {}
        self._ended: deque[_Ticket] = deque()
        self._passing_on = False

    def look(self, path: VirtualPath, start: Callable[[], None]) -> None:
        """Call `start` when nobody who came before changes `path` any more; now, if nobody does."""
        line = self._lines.get(path)
        if line is None:
            start()
        else:
            line.append(_Ticket((path,), start, changes=False))

    def change(self, paths: Iterable[VirtualPath], start: Callable[[], None]) -> Callable[[], None]:
        """Call `start` when all `paths` are this request's; returns what gives them back, or ends the waiting."""
        ticket = _Ticket(paths, start, changes=True)
        for path in ticket.paths:
            line = self._lines.setdefault(path, deque())
            ticket.before += bool(line)
            line.append(ticket)

        def end() -> None:
            if not ticket.over:
                ticket.over = True
                self._end(ticket)

        if not ticket.before:
            start()
        return end

    def _end(self, ticket: _Ticket) -> None:
        self._ended.append(ticket)
        if self._passing_on:  # a thousand who end at once must not stand on each other's shoulders
            return
        self._passing_on = True
        try:
            while self._ended:
                over = self._ended.popleft()
                for path in over.paths:
                    self._leave(over, path)
        finally:
            self._passing_on = False

    def _leave(self, ticket: _Ticket, path: VirtualPath) -> None:
        line = self._lines[path]
        if line[0] is not ticket:
            line.remove(ticket)  # it gave up while it waited
            return
        line.popleft()
        while line:
            following = line[0]
            if following.changes:
                following.before -= 1
                if not following.before and not following.over:
                    following.start()
                return
            line.popleft()
            following.start()
        del self._lines[path]
