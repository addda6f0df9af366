"""How a job's events are drawn without a terminal, and what every way of drawing shares.

One rule: whatever is drawn, failures and what a person must know are always said, with every name escaped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from homeport.cli.tally import Tally
from homeport.cli.terminal import printable, say
from homeport.client.events import Event, FileFailed, FileStarted, JobDone, Notice, Restarted, Retrying, Summary
from homeport.client.speed import size_text

PLAIN_EVERY_S = 10.0


class Drawing:
    """The silent one, and what all share: a tally, and words for what must be said. A context manager."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.tally = Tally(clock())

    def hear(self, event: Event) -> None:
        """An event of the engine; one call at a time, from any thread."""
        self.tally.hear(event, self._clock())
        words = words_of(event)
        if words:
            self.say(words)

    def say(self, text: str) -> None:
        """A line for the person."""
        say(printable(text))

    def __enter__(self) -> Drawing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is drawn from here on."""


class PlainDrawing(Drawing):
    """For files and pipes: a line every ten seconds, and one at the end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def hear(self, event: Event) -> None:
        """An event of the engine."""
        super().hear(event)
        if isinstance(event, JobDone) and is_worth_telling(event.summary):
            self.say(self.tally.last_line(event.summary))

    def __enter__(self) -> PlainDrawing:
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._ticker.join()

    def _tick(self) -> None:
        while not self._over.wait(PLAIN_EVERY_S):
            self.say(self.tally.line(self._clock()))


def is_worth_telling(summary: Summary) -> bool:
    """Whether there is more to say than the error that ended it."""
    return summary.error is None or summary.done > 0


def words_of(event: Event) -> str:
    """What must be said of an event whatever is drawn; empty for most."""
    if isinstance(event, FileFailed):
        return f"{event.item.name}: {event.error}"
    if isinstance(event, Retrying):
        return f"{event.error}; trying again in {event.delay_s:.0f} s"
    if isinstance(event, FileStarted) and event.offset:
        return f"{event.item.name}: resumes at {size_text(event.offset)}"
    if isinstance(event, Restarted):
        return f"{event.item.name}: begins again: {event.reason}"
    if isinstance(event, Notice):
        return event.text if event.item is None else f"{event.item.name}: {event.text}"
    return ""
