"""What one session does, as the audit log hears it.

The rule: what was changed, moved or refused leaves one event, and what only looks leaves none, unless it was not
allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    @property
    def _who(self) -> Who:
        return Who.of(self._session)

    def done(self, event: type[Deleted | DirectoryMade | DirectoryRemoved], path: VirtualPath) -> None:
        """Something was done to `path`."""
        self._audit.write(event(self._who, str(path)))

    def done_both(self, event: type[Renamed | Copied], source: VirtualPath, target: VirtualPath) -> None:
        """Something was done from `source` to `target`."""
        self._audit.write(event(self._who, str(source), str(target)))

    @contextmanager
    def deed(self, deed: str, path: VirtualPath) -> Iterator[None]:
        """Around what changes or moves something."""
        with self._refusals(deed, path, HomeportError):
            yield

    @contextmanager
    def looking(self, deed: str, path: VirtualPath) -> Iterator[None]:
        """Around what only looks: a missing file is everyday."""
        with self._refusals(deed, path, RightMissing, OutsideHome):
            yield

    def transfer(self, event: type[Uploaded | Downloaded]) -> Ended:
        """What a transfer that begins now is to call at its end."""
        began, who = self._clock(), self._who

        def ended(outcome: Outcome) -> None:
            self._audit.write(
                event(
                    who,
                    path=str(outcome.path),
                    bytes=outcome.moved,
                    size=outcome.size,
                    offset=outcome.offset,
                    seconds=self._clock() - began,
                    complete=outcome.reason is None,
                    sha256=outcome.sha256,
                    reason=outcome.reason,
                )
            )

        return ended

    @contextmanager
    def _refusals(self, deed: str, path: VirtualPath, *notable: type[HomeportError]) -> Iterator[None]:
        try:
            yield
        except notable as error:
            self._audit.write(Refused(self._who, deed, str(path), str(error)))
            raise
