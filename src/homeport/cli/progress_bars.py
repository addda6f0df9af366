"""Bars on a terminal: a line a file under way, and one for all. Imported only where a terminal shows them.

One rule: figures come from the tally, so that bars, lines and JSON never tell different speeds.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn
from rich.text import Text

from homeport.cli.progress import Drawing, is_worth_telling
from homeport.cli.tally import Active, speed_text
from homeport.cli.terminal import fit, printable
from homeport.client.events import Event, FileDone, FileFailed, JobDone, Restarted, Scanned
from homeport.client.speed import duration_text, size_text

_TICKS_A_SECOND = 8
_FIGURES = 54  # cells of bar, percentage, size, speed and time left
_BAR = 12  # cells, of ASCII: the glyphs made for bars are two cells wide on some Chinese terminals
_ENDS_A_BAR = (FileDone, FileFailed, Restarted)


class BarDrawing(Drawing):
    """Drawn by rich, which knows how terminals are moved about."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, console: Console | None = None) -> None:
        super().__init__(clock)
        self._console = console or Console(file=sys.stderr, highlight=False, emoji=False, markup=False)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self._console,
            refresh_per_second=_TICKS_A_SECOND,
            transient=True,
        )
        self._tasks: dict[int, TaskID] = {}
        self._total: TaskID | None = None
        self._drawn_at = clock()

    def __enter__(self) -> BarDrawing:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(Text(printable(text)), soft_wrap=True)

    def hear(self, event: Event) -> None:
        """An event of the engine."""
        super().hear(event)
        now = self._clock()
        if isinstance(event, _ENDS_A_BAR):
            self._end_bar(id(event.item))
        if isinstance(event, JobDone):
            self._end()
            if is_worth_telling(event.summary):
                self.say(self.tally.last_line(event.summary))
        elif now - self._drawn_at >= 1 / _TICKS_A_SECOND or isinstance(event, Scanned):
            self._drawn_at = now
            self._draw(now)

    def _end_bar(self, key: int) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            self._bars.remove_task(task)

    def _end(self) -> None:
        for task in [*self._tasks.values(), *([] if self._total is None else [self._total])]:
            self._bars.remove_task(task)
        self._tasks, self._total = {}, None

    def _draw(self, now: float) -> None:
        width = max(16, shutil.get_terminal_size().columns - _FIGURES)
        for key, active in list(self.tally.active.items()):
            if key not in self._tasks:
                name = fit(printable(active.item.name), min(width, 40))
                self._tasks[key] = self._bars.add_task(name, total=active.size, figures="")
            active.speed.tick(now)
            self._bars.update(self._tasks[key], completed=active.position, total=active.size, figures=_figures(active))
        if self.tally.scan is not None and self.tally.scan.files > 1:
            self._draw_total(min(width, 40), now)

    def _draw_total(self, width: int, now: float) -> None:
        self.tally.speed.tick(now)
        if self._total is None:
            self._total = self._bars.add_task("", total=None, figures="")
        scan = self.tally.scan
        of = f"{self.tally.total_files}" if scan is None or scan.finished else f"{scan.files}+, scanning"
        self._bars.update(
            self._total,
            description=fit(f"{self.tally.files} of {of} files", width),
            completed=self.tally.bytes,
            total=self.tally.total_bytes,
            figures=_row(self.tally.bytes, self.tally.total_bytes, self.tally.speed.current, self.tally.left_s()),
        )


def _figures(active: Active) -> str:
    left_s = None if active.size is None else active.speed.left_s(active.size - active.position)
    return _row(active.position, active.size, active.speed.current, left_s)


def _row(position: int, size: int | None, rate: float, left_s: float | None) -> str:
    done = min(_BAR, _BAR * position // size) if size else 0
    share = f"{min(100, 100 * position // size):3d}%" if size else "    "
    bar = f"[{'=' * done}{' ' * (_BAR - done)}]"
    return f"{bar} {share} {size_text(position):>9} {speed_text(rate):>12} {duration_text(left_s):>8}"
