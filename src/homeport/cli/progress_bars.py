"""Bars on a terminal: a line a file under way, and one for all. Imported only where a terminal shows them.

One rule: figures come from the tally, so that bars, lines and JSON never tell different speeds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from homeport.cli.progress import Drawing, is_worth_telling, words_of
from homeport.cli.tally import Active, speed_text
from homeport.cli.terminal import fit, printable
from homeport.client.events import Event, JobDone
from homeport.client.speed import duration_text, size_text

_TICKS_A_SECOND = 8
_BAR = 12  # cells, of ASCII: the glyphs made for bars are two cells wide on some Chinese terminals
_LONGEST_NAME = 40
_MOST_FILES = 16


class BarDrawing(Drawing):
    """Redrawn several times a second by rich, which knows how terminals are moved about."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, console: Console | None = None) -> None:
        super().__init__(clock)
        self._console = console or Console(file=sys.stderr, highlight=False, emoji=False, markup=False)
        self._lock = threading.Lock()  # the tally is filled by the engine's threads and drawn by another
        self._is_over = False
        self._live = Live(
            console=self._console,
            get_renderable=self.picture,
            refresh_per_second=_TICKS_A_SECOND,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> BarDrawing:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._live.stop()

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def hear(self, event: Event) -> None:
        """An event of the engine."""
        with self._lock:
            self.tally.hear(event, self._clock())
        if words := words_of(event):
            self.say(words)  # outside the lock: rich holds one of its own while it asks for the picture
        if isinstance(event, JobDone):
            self._is_over = True
            if is_worth_telling(event.summary):
                self.say(self.tally.last_line(event.summary))

    def picture(self) -> Text:
        """All bars as they are now."""
        with self._lock:
            lines = [] if self._is_over else list(self._lines(self._clock()))
        return Text("\n".join(lines), no_wrap=True, overflow="crop")

    def _lines(self, now: float) -> Iterator[str]:
        room = self._console.size.width - len(_row(0, 1, 0, 0)) - 5  # the terminal may print ^C behind it
        width = max(8, min(_LONGEST_NAME, room))
        for active in list(self.tally.active.values())[:_MOST_FILES]:
            active.speed.tick(now)
            yield f"{fit(printable(active.item.name), width)} {_figures(active)}"
        scan = self.tally.scan
        if scan is None or scan.files < 2:
            return
        self.tally.speed.tick(now)
        of = f"{scan.files} files" if scan.finished else f"{scan.files}+ files, scanning"
        row = _row(self.tally.bytes, self.tally.total_bytes, self.tally.speed.current, self.tally.left_s())
        yield f"{fit(f'{self.tally.files} of {of}', width)} {row}"


def _figures(active: Active) -> str:
    left_s = None if active.size is None else active.speed.left_s(active.size - active.position)
    return _row(active.position, active.size, active.speed.current, left_s)


def _row(position: int, size: int | None, rate: float, left_s: float | None) -> str:
    """Bar, share, bytes, speed and time left, always in as many cells."""
    done = min(_BAR, _BAR * position // size) if size else 0
    share = f"{min(100, 100 * position // size):3d}%" if size else "    "
    bar = f"[{'=' * done}{' ' * (_BAR - done)}]"
    return f"{bar} {share} {size_text(position):>9} {speed_text(rate):>11} {duration_text(left_s):>8}"
