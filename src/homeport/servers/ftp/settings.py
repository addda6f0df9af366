"""What an FTP server is told: plain values, so that it knows nothing of files and of how settings are written.

The one rule: every time is in seconds and every size in bytes, as the names say.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpTimes:
    """How long is waited for what."""

    login_s: float = 60.0  # from the connection to the login, TLS handshake included
    handshake_s: float = 20.0
    idle_s: float = 300.0
    send_s: float = 60.0  # a client that does not read its replies
    accept_s: float = 30.0  # from PASV to the data connection; an unused listener is freed then
    connect_s: float = 20.0
    data_s: float = 120.0  # a transfer without a single byte
    linger_s: float = 2.0  # for the client's own close_notify after a private download


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpSettings:
    """One FTP server's settings; the defaults are those of the configuration."""

    listen: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 - a server's default is every address; or unix:PATH
    port: int = 2121
    implicit_port: int | None = None  # None: no implicit TLS
    tls: Literal["required", "optional", "off"] = "required"
    data_tls: Literal["required", "optional"] = "required"  # whether PROT C is refused on private sessions
    data_tls_resumption: Literal["off", "prefer", "require"] = "prefer"
    require_close_notify: bool = True
    passive_ports: tuple[int, ...] = ()  # empty: any free one
    public_addresses: tuple[tuple[Network, str], ...] = ()  # the first network that holds the client decides
    allow_active: bool = True
    refused_ports: frozenset[int] = frozenset()  # our other services' ports: no data connection goes there
    legacy_charset: str = "gb18030"
    max_login_attempts: int = 4
    min_rate_bytes_per_s: int = 8  # below this for a whole `data_s`, a transfer is given up
    backlog: int = 4096
    reuse_port: bool = False  # several workers on one port
    greeting: str = "Homeport ready."
    times: FtpTimes = field(default_factory=FtpTimes)
