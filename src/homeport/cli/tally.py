"""What a job's events add up to, for whoever draws it.

One rule: totals are only called totals once the scan has ended, and a time left is only told for these.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeport.client.events import (
    Event,
    FileDone,
    FileFailed,
    FileStarted,
    Progress,
    Restarted,
    Scanned,
    Summary,
)
from homeport.client.items import Deed, Item
from homeport.client.speed import Speed, duration_text, size_text

_MOVES = (Deed.UPLOAD, Deed.DOWNLOAD)
_REMOVALS = {Deed.REMOVE_FILE: "file", Deed.REMOVE_FOLDER: "folder"}


@dataclass(slots=True)
class Active:
    """A file under way: it stands at `position` of `size` bytes; `speed` is its own."""

    item: Item
    position: int
    size: int | None
    speed: Speed


class Tally:
    """Add events with `hear`, then ask. Times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self.speed = Speed(now)
        self.active: dict[int, Active] = {}
        self.files = 0
        self.removed = dict.fromkeys(_REMOVALS, 0)
        self.failed = 0
        self.verified: set[str] = set()
        self.unverified = 0
        self.scan: Scanned | None = None
        self._finished_bytes = 0

    def hear(self, event: Event, now: float) -> None:
        """Take an event in."""
        if isinstance(event, Progress):
            self._progress(event, now)
        elif isinstance(event, FileStarted):
            size = event.item.size if event.size is None else event.size
            self.active[id(event.item)] = Active(event.item, event.offset, size, Speed(now))
        elif isinstance(event, FileDone):
            self._done(event)
        elif isinstance(event, FileFailed):
            self.active.pop(id(event.item), None)
            self.failed += event.item.deed in _MOVES
        elif isinstance(event, Restarted):
            self.active.pop(id(event.item), None)
        elif isinstance(event, Scanned):
            self.scan = event

    def _progress(self, event: Progress, now: float) -> None:
        self.speed.add(event.amount)
        self.speed.tick(now)
        active = self.active.get(id(event.item))
        if active is not None:
            active.position = event.position
            active.speed.add(event.amount)
            active.speed.tick(now)

    def _done(self, event: FileDone) -> None:
        self.active.pop(id(event.item), None)
        if event.item.deed not in _MOVES:
            if event.item.deed in self.removed:
                self.removed[event.item.deed] += 1
            return
        self.files += 1
        self._finished_bytes += event.size
        if event.verified is not None:
            self.verified.add(event.verified)
        elif not event.already_complete:
            self.unverified += 1

    @property
    def bytes(self) -> int:
        """How many bytes stand where they belong, those of earlier tries included."""
        return self._finished_bytes + sum(active.position for active in self.active.values())

    @property
    def total_bytes(self) -> int | None:
        """All bytes of the job; None while the scan goes on."""
        return self.scan.bytes if self.scan is not None and self.scan.finished else None

    @property
    def total_files(self) -> int | None:
        """All files of the job; None while the scan goes on."""
        return self.scan.files if self.scan is not None and self.scan.finished else None

    def left_s(self) -> float | None:
        """Seconds to go; None while nothing can be said."""
        return None if self.total_bytes is None else self.speed.left_s(self.total_bytes - self.bytes)

    def line(self, now: float) -> str:
        """How it stands, in a line: files, bytes, speed, time left."""
        self.speed.tick(now)
        files = f"{self.files} of {self.total_files}" if self.total_files is not None else str(self.files)
        moved = size_text(self.bytes)
        if self.total_bytes is not None:
            moved += f" of {size_text(self.total_bytes)}"
        parts = [f"{files} files", moved, speed_text(self.speed.current)]
        if self.scan is not None and not self.scan.finished:
            parts.append(f"scanning: {self.scan.files} files so far")
        elif self.total_bytes is not None:
            parts.append(f"{duration_text(self.left_s())} left")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)

    def last_line(self, summary: Summary) -> str:
        """How it went: bytes over wall-clock time, and what is worth knowing."""
        average = summary.bytes / summary.seconds if summary.seconds > 0 else 0.0
        done = f"{self._done_words(summary)} in {seconds_text(summary.seconds)}"
        parts = [f"{done} ({speed_text(average)})" if summary.bytes else done]
        if summary.already_complete:
            parts.append(f"{summary.already_complete} already complete")
        if self.verified and not self.unverified:
            parts.append(f"{' and '.join(sorted(self.verified))} verified")
        elif self.unverified:
            parts.append(f"{_count(self.unverified, 'file')} without a digest to compare: this server tells none")
        if summary.failures:
            parts.append(f"{len(summary.failures)} failed")
        return ", ".join(parts)

    def _done_words(self, summary: Summary) -> str:
        """The files that moved; where there were none to move, what was removed."""
        removed = [_count(number, _REMOVALS[deed]) for deed, number in self.removed.items() if number]
        if removed and not (self.files or self.failed):
            return f"{' and '.join(removed)} removed"
        return f"{_count(self.files, 'file')}, {size_text(summary.bytes)}"


def speed_text(rate: float) -> str:
    """Bytes a second."""
    return f"{size_text(rate)}/s"


def seconds_text(seconds: float) -> str:
    """A time that has passed, exact while it is short."""
    return f"{seconds:.1f}s" if seconds < 10 else duration_text(seconds)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
