"""What an HPTP server is told: plain values, so that it knows nothing of files and of how settings are written.

The one rule: every time is in seconds and every size in bytes, as the names say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homeport.config.model import Settings
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.strict_json import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class HptpTimes:
    """How long is waited for what."""

    login_s: float = 60.0  # from the connection to the login, TLS handshake included
    handshake_s: float = 15.0
    idle_s: float = 900.0  # without a request
    send_s: float = 60.0  # a client that does not read, or gives no credit, or does not answer PING
    data_s: float = 120.0  # an upload without a single byte
    ping_s: float = 30.0  # a connection on which nothing came for so long is asked whether it is there
    look_s: float = 1.0  # between two looks at a folder whose changes somebody wants to hear of


@dataclass(frozen=True, slots=True, kw_only=True)
class HptpSettings:
    """One HPTP server's settings; the defaults are those of the configuration."""

    listen: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 - a server's default is every address; or unix:PATH
    port: int = 2120
    limits: Limits = field(default_factory=Limits)
    max_open_files: int = 64  # of one session; more requests wait
    max_events: int = 16  # folders that one session watches
    upload_bytes_per_s: int | None = None  # of each account that has no limit of its own; all its sessions share it
    download_bytes_per_s: int | None = None
    services: Mapping[str, Json] = field(default_factory=dict)  # what else this server has: name -> {"port": n}
    backlog: int = 4096
    reuse_port: bool = False  # several workers on one port
    times: HptpTimes = field(default_factory=HptpTimes)


def hptp_settings(settings: Settings) -> HptpSettings:
    """The HPTP server's part of a configuration."""
    hptp, limits = settings.hptp, settings.limits
    return HptpSettings(
        listen=hptp.listen,
        port=hptp.port,
        limits=Limits(
            stream_window=hptp.stream_window_bytes,
            connection_window=hptp.connection_window_bytes,
            max_streams=hptp.max_streams,
        ),
        max_open_files=hptp.max_open_files,
        upload_bytes_per_s=limits.upload_bytes_per_s,
        download_bytes_per_s=limits.download_bytes_per_s,
        times=HptpTimes(
            login_s=limits.login_timeout_s,
            handshake_s=limits.handshake_timeout_s,
            idle_s=limits.idle_timeout_s,
            send_s=limits.send_timeout_s,
            data_s=limits.data_timeout_s,
        ),
    )
