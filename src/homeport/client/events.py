"""What happens while files are transferred, as values: the engine says it, whoever draws progress listens.

The one rule: nothing here is text for a terminal. Names are as they came from the disk or from the server; whoever
shows them escapes them. The bytes moved so far are the sum of `Progress.amount`, retries included; what has been won
of a file is `Progress.position`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeport.client.errors import ClientError
from homeport.client.items import Item


@dataclass(frozen=True, slots=True)
class JobStarted:
    """`connections` is how many may be opened."""

    connections: int


@dataclass(frozen=True, slots=True)
class Scanned:
    """The scan so far; totals are final when `finished`. Folders are not counted in `files`."""

    files: int
    bytes: int
    finished: bool


@dataclass(frozen=True, slots=True)
class FileStarted:
    """A transfer begins at byte `offset` of `size` (None where nobody knows it); an offset over 0 is a resume."""

    item: Item
    offset: int
    size: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """`amount` more bytes have moved; the file stands at `position`. At most about ten times a second and file."""

    item: Item
    amount: int
    position: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """What there was of the file cannot be used; it begins again at 0. `reason` is a sentence."""

    item: Item
    reason: str


@dataclass(frozen=True, slots=True)
class FileDone:
    """Done, or `already_complete` before anything was sent. `verified` names the algorithm in which both sides'
    digests were equal, or is None where the server tells none. `size` in bytes.
    """

    item: Item
    size: int
    already_complete: bool = False
    verified: str | None = None


@dataclass(frozen=True, slots=True)
class FileFailed:
    """This item failed for good; others go on."""

    item: Item
    error: ClientError


@dataclass(frozen=True, slots=True)
class Retrying:
    """The connection was lost or refused; the next try, number `attempt` without progress, comes in `delay_s`."""

    error: ClientError
    delay_s: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person may want to know that stops nothing, as a sentence."""

    text: str
    item: Item | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An item with what went wrong."""

    item: Item
    error: ClientError


@dataclass(frozen=True, slots=True)
class Summary:
    """How a job went. `bytes` that moved in `seconds` of wall-clock time; `done` items, of which `already_complete`
    needed nothing.

    `error` ended the whole job before its time (no room, retries used up, identity, login); `stopped` when somebody
    asked for it. `failures` are items that failed alone.
    """

    done: int
    already_complete: int
    bytes: int
    seconds: float
    failures: tuple[Failure, ...] = ()
    error: ClientError | None = None
    stopped: bool = False

    @property
    def is_clean(self) -> bool:
        """Everything was done."""
        return not self.failures and self.error is None and not self.stopped

    @property
    def verdict(self) -> ClientError | None:
        """The one error to answer for: what ended the job, or the failure of the only item; else None."""
        if self.error is not None:
            return self.error
        only = len(self.failures) == 1 and self.done == 0
        return self.failures[0].error if only else None


@dataclass(frozen=True, slots=True)
class JobDone:
    """The last event of a run."""

    summary: Summary


Event = JobStarted | Scanned | FileStarted | Progress | Restarted | FileDone | FileFailed | Retrying | Notice | JobDone
Notify = Callable[[Event], None]
