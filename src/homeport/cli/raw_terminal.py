"""This machine's terminal while a remote one is shown in it: raw, and as it was before when that ends, however it does.

The one rule: whoever left `raw` has left the terminal as it was found.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

ESCAPE_HELP = "Enter ~ . ends the session from this side"
_USUAL_SIZE = (80, 24)


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Within, every key goes to the other side, Ctrl-C too."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def size() -> tuple[int, int]:
    """Columns and rows, as the terminal itself says: COLUMNS and LINES tell of another one, or of an earlier size."""
    for fd in (1, 0, 2):
        with suppress(OSError):  # closed, or no terminal
            columns, lines = os.get_terminal_size(fd)
            return columns, lines
    return _USUAL_SIZE


def kind() -> str:
    """What the terminal is called."""
    return os.environ.get("TERM", "dumb")


def is_there() -> bool:
    """Whether both input and output are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


class Escapes:
    """Watches what is typed for the way out, as `ssh` has it: at the beginning of a line, `~.` ends and `~~` is `~`."""

    def __init__(self) -> None:
        self.is_over = False
        self._at_start = True
        self._has_tilde = False

    def pass_on(self, data: bytes) -> bytes:
        """What goes to the other side; `is_over` once the way out was typed."""
        passed = bytearray()
        for key in data:
            if self.is_over:
                break
            self._take(key, passed)
        return bytes(passed)

    def _take(self, key: int, passed: bytearray) -> None:
        if self._has_tilde:
            self._has_tilde = False
            if key == ord("."):
                self.is_over = True
                return
            if key != ord("~"):
                passed.append(ord("~"))
        elif self._at_start and key == ord("~"):
            self._has_tilde = True
            return
        passed.append(key)
        self._at_start = key in b"\r\n"
