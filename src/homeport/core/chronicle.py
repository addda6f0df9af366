"""What one session does, as the audit log hears it.

The rule: what was changed, moved or refused leaves one event, and what only looks leaves none, unless it was not
allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from homeport.core.audit import AuditLog
from homeport.core.audit_events import (
    Copied,
    Deleted,
    DirectoryMade,
    DirectoryRemoved,
    Downloaded,
    Refused,
    Renamed,
    Uploaded,
    Who,
)
from homeport.core.errors import HomeportError, OutsideHome, RightMissing
from homeport.core.paths import VirtualPath
from homeport.core.sessions import SessionRecord
from homeport.core.transfer import Ended, Outcome


class Chronicle:
    """One session's part of the log. `clock` gives seconds, for how long transfers took."""

    def __init__(self, audit: AuditLog, session: SessionRecord, clock: Callable[[], float]) -> None:
        self._audit = audit
        self._session = session
        self._clock = clock
        self._last_who = Who.of(session)

    @property
    def _who(self) -> Who:
        who = self._last_who
        if who.account is not self._session.account:  # nothing else of a session changes
            who = self._last_who = Who.of(self._session)
        return who

    def done(self, event: type[Deleted | DirectoryMade | DirectoryRemoved], path: VirtualPath) -> None:
        """Something was done to `path`."""
        self._audit.write(event(self._who, str(path)))

    def done_both(self, event: type[Renamed | Copied], source: VirtualPath, target: VirtualPath) -> None:
        """Something was done from `source` to `target`."""
        self._audit.write(event(self._who, str(source), str(target)))

    def deed(self, deed: str, path: VirtualPath) -> AbstractContextManager[None]:
        """Around what changes or moves something."""
        return _Refusals(self, deed, path, HomeportError)

    def looking(self, deed: str, path: VirtualPath) -> AbstractContextManager[None]:
        """Around what only looks: a missing file is everyday."""
        return _Refusals(self, deed, path, (RightMissing, OutsideHome))

    def refused(self, deed: str, path: VirtualPath, error: BaseException) -> None:
        """Something was not done to `path`."""
        self._audit.write(Refused(self._who, deed, str(path), str(error)))

    def transfer(self, event: type[Uploaded | Downloaded]) -> Ended:
        """What a transfer that begins now is to call at its end."""
        began, who = self._clock(), self._who

        def ended(outcome: Outcome) -> None:
            self._audit.write(
                event(
                    who,
                    str(outcome.path),
                    outcome.moved,
                    outcome.size,
                    outcome.offset,
                    self._clock() - began,
                    outcome.reason is None,
                    outcome.sha256,
                    outcome.reason,
                )
            )

        return ended


class _Refusals:
    """A block whose `notable` errors are noted as refusals: a class, for every deed passes here."""

    __slots__ = ("_chronicle", "_deed", "_notable", "_path")

    def __init__(
        self,
        chronicle: Chronicle,
        deed: str,
        path: VirtualPath,
        notable: type[HomeportError] | tuple[type[HomeportError], ...],
    ) -> None:
        self._chronicle = chronicle
        self._deed = deed
        self._path = path
        self._notable = notable

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and isinstance(error, self._notable):
            self._chronicle.refused(self._deed, self._path, error)
