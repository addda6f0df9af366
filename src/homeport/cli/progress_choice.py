"""Who draws a job's events: the person's choice, else what the terminal can do.

One rule: a way of drawing is loaded when it is chosen, so that a pipe never pays for bars.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from homeport.cli.progress import Drawing, PlainDrawing

if TYPE_CHECKING:
    from homeport.cli.connection_options import Moving


def drawing(moving: Moving, *, as_json: bool) -> Drawing:
    """The drawing for a person's choice and this terminal."""
    if as_json or moving.progress == "json":
        from homeport.cli.progress_json import JsonDrawing

        return JsonDrawing(summary_only=moving.progress == "none")
    if moving.progress == "none":
        return Drawing()
    if moving.progress == "plain" or not draws_bars():
        return PlainDrawing()
    from homeport.cli.progress_bars import BarDrawing

    return BarDrawing()


def draws_bars() -> bool:
    """Whether talk goes to a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
