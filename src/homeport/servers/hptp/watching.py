"""events: the client hears when names in a folder come, go or are replaced, whoever does it, through whichever worker.

The one rule: a folder is asked for its time of change, once in `look_s` seconds and all of a session's folders in one
call; so it costs the same whatever happens in it, and tells that something changed, not what.
"""

from __future__ import annotations

from homeport.core.entries import Kind
from homeport.core.errors import NotADirectory
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.protocols.hptp.names import to_wire
from homeport.servers.deadlines import Deadline
from homeport.servers.hptp.errors import TOO_MANY, Refused
from homeport.servers.hptp.requests import Brief, Request
from homeport.servers.hptp.session import HptpSession


class Watching(Brief):
    """One folder that a client watches."""

    def __init__(self, session: HptpSession, request: Request) -> None:
        if session.watched >= session.front.settings.max_events:
            raise Refused(TOO_MANY, f"at most {session.front.settings.max_events} folders are watched at once")
        session.watched += 1
        self._session = session
        self._stream = request.stream
        self._path: VirtualPath = request.arguments["path"]
        self._changed_ns: int | None = None
        self._over = False
        self._next: Deadline = session.front.deadlines.new(self._look)

    def start(self) -> None:
        """See Work."""
        self._look()

    def stop(self, code: str, reason: str) -> None:
        """See Work."""
        self._finish(Refused(code, reason))

    def _look(self) -> None:
        if not self._over:
            self._session.batches.add(self._changed_at, self._looked)

    def _changed_at(self, home: Home) -> int:
        found = home.stat(self._path)
        if found.kind is not Kind.DIRECTORY:
            raise NotADirectory(str(self._path))
        return found.mtime_ns

    def _looked(self, outcome: int | BaseException) -> None:
        if self._over:
            return
        if isinstance(outcome, BaseException):
            self._finish(outcome)
            return
        if self._changed_ns is not None and outcome != self._changed_ns:
            self._session.send_items(self._stream, [{"path": to_wire(str(self._path))}])
        self._changed_ns = outcome
        self._next.set(self._session.front.settings.times.look_s)

    def _finish(self, error: BaseException) -> None:
        if not self._over:
            self._over = True
            self._next.discard()
            self._session.watched -= 1
            self._session.refuse(self._stream, error)
