"""A connection that is made while the rest of the program still loads: on a long line both take as long as each other.

The one rule: it goes as far as TLS and no further, so that nothing is said before it is known who says it and to whom;
whoever wants the connection gets what making it anew would have given him: it, or the error.
"""

from __future__ import annotations

import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

_WITHIN_S = 20.0
_FRESH_S = 5.0  # a server does not wait for a login for ever; whoever comes later begins anew


class HeadStart:
    """One connection under way, in a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._lock = threading.Lock()
        self._secured: ssl.SSLSocket | None = None
        self._failure: BaseException | None = None
        self._began = monotonic()
        self._is_wanted = True
        self._thread = threading.Thread(target=self._run, name="head-start", daemon=True)
        self._thread.start()

    def take(self, host: str, port: int, timeout_s: float) -> ssl.SSLSocket | None:
        """The connection, waited for; None where it leads elsewhere, or was not made in time, or lay about for too
        long. Raises what `securing.reach` does. Only the first who asks gets anything.
        """
        if (host, port) != self._place or monotonic() - self._began > _FRESH_S:
            self.drop()
            return None
        self._thread.join(timeout_s)
        with self._lock:
            secured, self._secured = self._secured, None
            failure, self._failure = self._failure, None
            self._is_wanted = False
        if failure is not None:
            raise failure
        if secured is not None:
            secured.settimeout(timeout_s)
        return secured

    def drop(self) -> None:
        """Nobody wants it."""
        with self._lock:
            self._is_wanted = False
            secured, self._secured = self._secured, None
        if secured is not None:
            secured.close()

    def _run(self) -> None:
        try:
            secured = self._reach()
        except BaseException as failure:  # noqa: BLE001 - raised again by `take`
            self._failure = failure
            return
        with self._lock:
            if self._is_wanted:
                self._secured = secured
                return
        secured.close()

    def _reach(self) -> ssl.SSLSocket:
        """As `securing.reach`, which is loaded while the first round trip passes."""
        try:
            plain = socket.create_connection(self._place, _WITHIN_S)
        except (OSError, UnicodeError) as failure:
            from homeport.client.hptp.securing import unreachable

            raise unreachable(*self._place, failure) from failure
        from homeport.client.hptp.securing import secure

        return secure(plain, *self._place)


_lock = threading.Lock()
_under_way: list[HeadStart] = []


def begin(host: str, port: int) -> None:
    """Make a connection from now on; the program's start is over before anybody needs it."""
    with _lock:
        _under_way.append(HeadStart(host, port))


def take(host: str, port: int, timeout_s: float) -> ssl.SSLSocket | None:
    """See `HeadStart.take`; None where nothing was begun."""
    with _lock:
        begun = _under_way.pop() if _under_way else None
    return None if begun is None else begun.take(host, port, timeout_s)
