"""What an FTP server is told: plain values, so that it knows nothing of files and of how settings are written.

The one rule: every time is in seconds and every size in bytes, as the names say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from homeport.config.ftp import FtpSettings as Configured
from homeport.config.model import Settings
from homeport.protocols.ftp.policy import Policy, TlsPolicy
from homeport.servers.ftp.addresses import is_near, parse_ip

_BURST_BYTES = 4096  # replies at a stretch: a hundred or two, in a few milliseconds, and others have their turn


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpTimes:
    """How long is waited for what."""

    login_s: float = 60.0  # from the connection to the login, TLS handshake included
    handshake_s: float = 15.0
    idle_s: float = 900.0
    send_s: float = 60.0  # a client that does not read its replies
    connect_s: float = 30.0  # for the data connection; an unused listener is freed then
    data_s: float = 120.0  # a transfer without a single byte
    linger_s: float = 2.0  # for the client's own close_notify after a private download


def _nothing(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpSettings:
    """One FTP server's settings; the defaults are those of the configuration."""

    listen: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 - a server's default is every address; or unix:PATH
    port: int = 2121
    implicit_port: int | None = None  # None: no implicit TLS
    tls: Literal["required", "optional", "off"] = "required"
    data_tls: Literal["required", "optional"] = "required"  # whether PROT C is refused where TLS is on
    data_tls_resumption: Literal["off", "prefer", "require"] = "prefer"
    require_close_notify: bool = True
    passive_ports: tuple[int, ...] = ()  # empty: any free one
    public_address_for: Callable[[str], str | None] = _nothing  # client's address -> what PASV names, None: our own
    allow_active: bool = True
    refused_ports: frozenset[int] = frozenset()  # our other services' ports: no data connection goes there
    legacy_charset: str = "gb18030"
    charset_for: Callable[[str], str | None] = _nothing  # client's address -> the charset of its names
    deflate_level: int = 1  # zlib's, for MODE Z; 0: no MODE Z
    max_line_bytes: int = 4096
    max_login_attempts: int = 4
    upload_bytes_per_s: int | None = None  # of each account that has no limit of its own; all its sessions share it
    download_bytes_per_s: int | None = None
    min_rate_bytes_per_s: int = 8  # below this for a whole `data_s`, a transfer is given up
    backlog: int = 4096
    reuse_port: bool = False  # several workers on one port
    greeting: str = "Homeport ready"
    times: FtpTimes = field(default_factory=FtpTimes)

    def policy_for(self, client: str) -> Policy:
        """The engine's policy for a client at this address."""
        return Policy(
            tls=TlsPolicy(self.tls),
            private_data=self.data_tls == "required",
            active=self.allow_active,
            mode_z=self.deflate_level > 0,
            deflate_level=self.deflate_level,
            legacy_charset=self.legacy_charset,
            forced_charset=self.charset_for(client),
            max_line_bytes=self.max_line_bytes,
            max_output_bytes=_BURST_BYTES,
        )


def _public_address(ftp: Configured) -> Callable[[str], str | None]:
    """One address for all is for those who come from the open network: a client near us reached us by our own, and
    may not find its way back from outside. A table means what it says, private networks included.
    """
    if not isinstance(ftp.public_address, str):
        return ftp.public_address_for
    public = ftp.public_address

    def for_strangers(client: str) -> str | None:
        address = parse_ip(client)
        return None if address is None or is_near(address) else public

    return for_strangers


def ftp_settings(settings: Settings) -> FtpSettings:
    """The FTP server's part of a configuration."""
    ftp, limits = settings.ftp, settings.limits
    return FtpSettings(
        listen=ftp.listen,
        port=ftp.port,
        implicit_port=ftp.implicit_port,
        tls=ftp.tls,
        data_tls=ftp.data_tls,
        data_tls_resumption=ftp.data_tls_resumption,
        require_close_notify=ftp.require_close_notify,
        passive_ports=ftp.passive_port_numbers(),
        public_address_for=_public_address(ftp),
        allow_active=ftp.allow_active,
        legacy_charset=ftp.legacy_charset,
        charset_for=ftp.charset_for,
        deflate_level=ftp.deflate_level,
        max_line_bytes=ftp.max_line_bytes,
        upload_bytes_per_s=limits.upload_bytes_per_s,
        download_bytes_per_s=limits.download_bytes_per_s,
        greeting=ftp.greeting,
        times=FtpTimes(
            login_s=limits.login_timeout_s,
            handshake_s=limits.handshake_timeout_s,
            idle_s=limits.idle_timeout_s,
            send_s=limits.send_timeout_s,
            connect_s=limits.data_connect_timeout_s,
            data_s=limits.data_timeout_s,
        ),
    )
