"""How a connection is made: what the person chose, as plain values with their defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in. `password` never appears in a representation."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """`plain` allows a login in the clear where the server has no TLS; `charset` is the server's for file names.

    Times in seconds: `connect_timeout_s` for a connection and its handshake, `stall_timeout_s` without any byte.
    """

    plain: bool = False
    charset: str = "utf-8"
    connect_timeout_s: float = 20.0
    stall_timeout_s: float = 60.0
