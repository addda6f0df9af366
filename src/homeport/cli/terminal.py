"""What reaches the terminal. One rule: text that others chose passes `printable`, so no name moves the cursor, changes
colours, or looks like something else.

Results go to standard output, talk to standard error; `--json` prints one object a line, in ASCII.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence


def printable(text: str) -> str:
    r"""`text` with everything that does not print escaped: `\x1b`, `\u202e`, bytes that are no UTF-8 as `\udc80`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def say(text: str) -> None:
    """A line of talk on standard error."""
    print(text, file=sys.stderr, flush=True)


def put(text: str) -> None:
    """A line of the result on standard output."""
    print(text, flush=True)


def put_json(value: Mapping[str, object]) -> None:
    """An object of the result as one line."""
    put(json.dumps(value, ensure_ascii=True))


def put_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows in columns as wide as they must be; every cell passes `printable`."""
    lines = [tuple(head), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(map(cells_of, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell + " " * (width - cells_of(cell)) for cell, width in zip(line, widths, strict=True))
        put("  ".join(cells).rstrip())


def cells_of(text: str) -> int:
    """Cells on a terminal: wide characters take two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def fit(text: str, cells: int) -> str:
    """`text` in exactly so many cells: filled with spaces, or with its middle left out."""
    if cells_of(text) > cells:
        head = _cut(text, (cells - len(_GAP) + 1) // 2)
        tail = _cut(text[::-1], cells - len(_GAP) - cells_of(head))[::-1]
        text = head + _GAP + tail
    return text + " " * (cells - cells_of(text))


_GAP = ".."  # no character of ambiguous width


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, cells: int) -> str:
    """As much of the beginning as goes into `cells`."""
    taken = 0
    for index, character in enumerate(text):
        taken += _cells(character)
        if taken > cells:
            return text[:index]
    return text


def make_streams_robust() -> None:
    """A terminal that cannot show a character gets its escape, and input that is no text is not a traceback either."""
    for stream, errors in _ERRORS:
        reconfigure = getattr(getattr(sys, stream), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=errors)


_ERRORS = (("stdout", "backslashreplace"), ("stderr", "backslashreplace"), ("stdin", "surrogateescape"))
