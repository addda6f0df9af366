"""Events as one JSON object a line on standard output, and the summary as the last one.

One rule: the members stay; scripts rely on them. Names with bytes of no charset carry them as lone surrogates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from homeport.cli.exit_codes import exit_code
from homeport.cli.progress import Drawing
from homeport.cli.terminal import put_json
from homeport.client.events import (
    Event,
    FileDone,
    FileFailed,
    FileStarted,
    JobDone,
    Notice,
    Progress,
    Restarted,
    Retrying,
    Scanned,
    Summary,
)

if TYPE_CHECKING:
    from homeport.client.errors import ClientError

PROGRESS_EVERY_S = 1.0

Members = dict[str, object]


def error_members(error: ClientError) -> Members:
    """As the root command shows errors."""
    return {"code": int(exit_code(error)), "kind": type(error).__name__, "message": str(error)}


def summary_members(summary: Summary) -> Members:
    """The last line."""
    failed = [{"name": failure.item.name, "error": error_members(failure.error)} for failure in summary.failures]
    return {
        "event": "summary",
        "done": summary.done,
        "already_complete": summary.already_complete,
        "failed": failed,
        "bytes": summary.bytes,
        "seconds": round(summary.seconds, 3),
        "bytes_per_s": round(summary.bytes / summary.seconds) if summary.seconds > 0 else 0,
        "stopped": summary.stopped,
        "error": None if summary.error is None else error_members(summary.error),
    }


def _started(event: FileStarted) -> Members:
    return {"event": "file-started", "name": event.item.name, "offset": event.offset, "size": event.size}


def _done(event: FileDone) -> Members:
    facts = {"size": event.size, "already_complete": event.already_complete, "verified": event.verified}
    return {"event": "file-done", "name": event.item.name, "deed": event.item.deed.value, **facts}


def _failed(event: FileFailed) -> Members:
    return {"event": "file-failed", "name": event.item.name, "error": error_members(event.error)}


def _retrying(event: Retrying) -> Members:
    facts = {"delay_s": round(event.delay_s, 3), "attempt": event.attempt}
    return {"event": "retrying", "error": error_members(event.error), **facts}


def _restarted(event: Restarted) -> Members:
    return {"event": "restarted", "name": event.item.name, "reason": event.reason}


def _notice(event: Notice) -> Members:
    return {"event": "notice", "name": None if event.item is None else event.item.name, "text": event.text}


def _scanned(event: Scanned) -> Members:
    return {"event": "scanned", "files": event.files, "bytes": event.bytes, "finished": event.finished}


_MEMBERS: dict[type[Event], Callable[..., Members]] = {
    FileStarted: _started,
    FileDone: _done,
    FileFailed: _failed,
    Retrying: _retrying,
    Restarted: _restarted,
    Notice: _notice,
    Scanned: _scanned,
}


class JsonDrawing(Drawing):
    """Objects on standard output; with `summary_only` the last one alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, summary_only: bool = False) -> None:
        super().__init__(clock)
        self._summary_only = summary_only
        self._said_at = clock()

    def hear(self, event: Event) -> None:
        """An event of the engine."""
        now = self._clock()
        self.tally.hear(event, now)
        if isinstance(event, JobDone):
            put_json(summary_members(event.summary))
        elif self._summary_only:
            return
        elif isinstance(event, Progress):
            self._put_progress(now)
        elif type(event) in _MEMBERS:
            put_json(_MEMBERS[type(event)](event))

    def _put_progress(self, now: float) -> None:
        """At most once a second for all files together."""
        if now - self._said_at < PROGRESS_EVERY_S:
            return
        self._said_at = now
        left_s = self.tally.left_s()
        put_json(
            {
                "event": "progress",
                "files": self.tally.files,
                "total_files": self.tally.total_files,
                "bytes": self.tally.bytes,
                "total_bytes": self.tally.total_bytes,
                "bytes_per_s": round(self.tally.speed.current),
                "left_s": None if left_s is None else round(left_s, 1),
            }
        )
