"""SIGTERM as an exception. One rule: whoever is told to stop saves its state first, as at Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(BaseException):
    """Somebody sent SIGTERM."""

    def __str__(self) -> str:
        return "terminated"


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Within, SIGTERM raises Terminated in the main thread. Elsewhere than there it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
