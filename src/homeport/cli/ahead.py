"""A connection that is made while the program still loads: half of a short command's time is the line's.

The one rule: it asks nobody anything. What went wrong is raised where the connection is wanted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeport.client.remote import Remote


class Ahead:
    """Calls `dial` in a thread of its own; `take` waits for it."""

    def __init__(self, dial: Callable[[], Remote]) -> None:
        self._dial = dial
        self._remote: Remote | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def take(self) -> Remote:
        """The connection. Raises what `dial` has raised."""
        self._thread.join()
        if self._remote is None:
            raise self._failure or AssertionError("neither a connection nor a failure")
        return self._remote

    def _run(self) -> None:
        try:
            self._remote = self._dial()
        except BaseException as failure:  # noqa: BLE001 - raised again by `take`
            self._failure = failure
