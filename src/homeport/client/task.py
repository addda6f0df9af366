"""One try of one item over one connection: what the functions that do the deeds are given, and what they give back.

The one rule: a deed knows nothing of threads, retries or other items. It raises, and the worker decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeport.client.errors import ClientError
from homeport.client.events import FileStarted, Notice, Notify, Progress, Restarted
from homeport.client.flow import Flow
from homeport.client.items import Item
from homeport.client.options import TransferOptions
from homeport.client.remote import RemoteEntry
from homeport.client.upload_state import UploadStates


@dataclass(frozen=True, slots=True)
class Outcome:
    """See `events.FileDone`; `listing` is what a folder holds that was to be listed."""

    size: int = 0
    already_complete: bool = False
    verified: str | None = None
    listing: tuple[RemoteEntry, ...] = ()


class Track:
    """The bytes of one item in one try; says so a few times a second."""

    def __init__(
        self,
        item: Item,
        notify: Notify,
        clock: Callable[[], float],
        interval_s: float,
        moved: Callable[[int, bool], None],
    ) -> None:
        self.item = item
        self.position = 0
        self.moved = 0
        self._notify = notify
        self._clock = clock
        self._interval_s = interval_s
        self._hear = moved
        self._unsaid = 0
        self._said_at = clock()

    def begin(self, offset: int, size: int | None) -> None:
        """Bytes are about to move, from `offset` on."""
        self.position = offset
        self._notify(FileStarted(self.item, offset, size))

    def add(self, amount: int, *, lasting: bool = True) -> None:
        """`amount` more bytes have moved; they are not `lasting` where the next try would begin without them."""
        self.position += amount
        if lasting:
            self.moved += amount
        self._unsaid += amount
        self._hear(amount, lasting)
        now = self._clock()
        if now - self._said_at >= self._interval_s:
            self._said_at = now
            self.say()

    def say(self) -> None:
        """Say what was not said yet."""
        if self._unsaid:
            self._notify(Progress(self.item, self._unsaid, self.position))
            self._unsaid = 0

    def restarted(self, reason: str) -> None:
        self._notify(Restarted(self.item, reason))

    def notice(self, text: str) -> None:
        self._notify(Notice(text, self.item))


@dataclass(frozen=True, slots=True)
class Task:
    """`origin` is the server with the account, as unfinished uploads are known by. `late` hears of a modification
    time whose answer came later: path, time, and the error or None. On a retry what was listed before counts no more.
    """

    item: Item
    remote: Flow
    options: TransferOptions
    track: Track
    states: UploadStates
    origin: str
    late: Callable[[str, float, ClientError | None], None]
    is_retry: bool = False
