"""A receive window that grows as fast as the sender's own: Linux begins with 64 KiB and takes its time.

The one rule: nothing is fixed by it. SO_RCVBUF would switch the kernel's own adjusting off; SO_RCVLOWAT, raised and put
back, only lifts the bound that it begins with (`tcp_set_rcvlowat`, Linux 4.18).
"""

from __future__ import annotations

import contextlib
import socket

_AT_ONCE = 2 * 1024 * 1024  # bytes: what a slow start sends in its eighth round trip


def widen(connection: socket.socket) -> None:
    """Let the peer's first megabytes come without waiting for this side; without effect where that is unknown."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _AT_ONCE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
