"""The way to a server until TLS stands: nobody has proved anything there yet.

The one rule: TLS 1.3 and HPTP or nothing; what is no server of ours is told apart here, before any secret is looked at.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

from homeport.client import tls
from homeport.client.errors import ConnectionFailed, Incompatible

ALPN = "hptp/1"
_AT_ONCE_BYTES = 2 * 1024 * 1024  # what a slow start sends in its eighth round trip


def reach(host: str, port: int, timeout_s: float) -> ssl.SSLSocket:
    """Connect and shake hands, each within `timeout_s`. Raises ConnectionFailed, Incompatible."""
    try:
        plain = socket.create_connection((host, port), timeout_s)
    except (OSError, UnicodeError) as failure:
        raise unreachable(host, port, failure) from failure
    return secure(plain, host, port)


def unreachable(host: str, port: int, failure: Exception) -> ConnectionFailed:
    """The error for what came of `socket.create_connection`."""
    return ConnectionFailed(f"cannot connect to {host} port {port}: {tls.reason(failure)}")


def secure(plain: socket.socket, host: str, port: int) -> ssl.SSLSocket:
    """TLS on a socket that has just been connected, and is closed when that fails. Raises as `reach`."""
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _widen(plain)
    context = tls.context(by_key=True)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    secured = tls.shake_hands(plain, context, host, None)
    if secured.selected_alpn_protocol() != ALPN:
        secured.close()
        raise Incompatible(f"{host} port {port} speaks TLS, but not HPTP; is this the right port?")
    return secured


def _widen(plain: socket.socket) -> None:
    """Let the first megabytes come without waiting for us: Linux begins with 64 KiB and takes its time.

    SO_RCVBUF would switch the kernel's own adjusting off; SO_RCVLOWAT, raised and put back, only lifts the bound that
    it begins with (Linux 4.18).
    """
    with contextlib.suppress(OSError):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _AT_ONCE_BYTES)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
