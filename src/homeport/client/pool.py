"""The connections of an engine: those at work and those that wait for the next run.

The one rule: the first connection is made alone. It may ask the person about the server's key, once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from homeport.client.errors import ClientError
from homeport.client.flow import flow_of
from homeport.client.remote import Remote


class Pool:
    """Used by several threads."""

    def __init__(self, dial: Callable[[], Remote]) -> None:
        self._dial = dial
        self._lock = threading.RLock()  # a signal handler may interrupt in the middle
        self._first = threading.Lock()
        self._has_dialled = False
        self._idle: list[Remote] = []
        self._busy: list[Remote] = []

    def take(self) -> Remote:
        """An idle connection, else a new one. Raises what dialling raises."""
        with self._lock:
            while self._idle:
                remote = self._idle.pop()
                if remote.is_open:
                    self._busy.append(remote)
                    return remote
        remote = self._dial_in_turn()
        with self._lock:
            self._busy.append(remote)
        return remote

    @property
    def does_many(self) -> bool:
        """Whether one connection does many things at a time, as far as one is here to tell."""
        with self._lock:
            return any(flow_of(remote)[1] > 1 for remote in self._idle)

    def _dial_in_turn(self) -> Remote:
        if self._has_dialled:
            return self._dial()
        with self._first:
            remote = self._dial()
            self._has_dialled = True
            return remote

    def give_back(self, remote: Remote) -> None:
        """It is not needed now; a closed one is forgotten."""
        with self._lock:
            self._busy.remove(remote)
            if remote.is_open:
                self._idle.append(remote)
                return
        remote.close()

    def discard(self, remote: Remote) -> None:
        """It has failed."""
        with self._lock:
            self._busy.remove(remote)
        with contextlib.suppress(ClientError):
            remote.close()

    def interrupt(self) -> None:
        """Whatever the busy ones wait for fails now."""
        with self._lock:
            busy = list(self._busy)
        for remote in busy:
            remote.interrupt()

    def close(self) -> None:
        """Close the idle ones, politely."""
        with self._lock:
            idle, self._idle = self._idle, []
        for remote in idle:
            with contextlib.suppress(ClientError):
                remote.close()
