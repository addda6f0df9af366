"""What an SSH server is told: plain values, so that it knows nothing of files and of how settings are written.

The one rule: every time is in seconds and every size in bytes, as the names say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from homeport.servers.sandbox.settings import CommandSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTimes:
    """How long is waited for what."""

    login_s: float = 60.0  # from the connection to the login
    idle_s: float = 900.0  # a connection that has logged in and has no channel open
    keepalive_s: float = 30.0  # between the questions to a silent client
    keepalives: int = 4  # so many without an answer end the connection


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """One SSH server's settings; the defaults are those of the configuration."""

    listen: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 - a server's default is every address; or unix:PATH
    port: int = 2122
    host_keys: tuple[str, ...] = ()  # files with private keys
    passwords: bool = True  # whether one may log in with a password, beside keys
    max_login_attempts: int = 4  # wrong passwords on one connection
    max_key_offers: int = 20  # keys that one connection may offer
    max_channels: int = 10  # of one connection
    max_handles: int = 256  # open files and folders of one SFTP session
    max_logging_in: int = 100  # connections of this worker that have not logged in
    forward_to: frozenset[str] = frozenset()  # HOST:PORT to which clients may connect through the server
    upload_bytes_per_s: int | None = None  # of each account that has no limit of its own; all its sessions share it
    download_bytes_per_s: int | None = None
    backlog: int = 4096
    reuse_port: bool = False  # several workers on one port
    times: SshTimes = field(default_factory=SshTimes)
    commands: CommandSettings = field(default_factory=CommandSettings)
