"""What systemd is told (sd_notify(3)). Rule: nothing happens without $NOTIFY_SOCKET, and no failure stops a server."""

from __future__ import annotations

import logging
import os
import socket
import time

_log = logging.getLogger(__name__)


def notify(*lines: str) -> bool:
    """Send such as `READY=1` to the service manager; whether there is one that took it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # Linux's abstract names begin with NUL
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(address)
            sender.send("\n".join(lines).encode())
    except OSError as error:
        _log.warning("the service manager could not be told: %s", error)
        return False
    return True


def notify_reloading() -> bool:
    """Say that a reload begins; `Type=notify-reload` needs the time of it."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
