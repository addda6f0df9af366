"""Every setting with its default, its unit in its name and its meaning. One rule: nothing else has defaults.

The texts under the keys become the comments of `homeport config show` and of the file that the first run writes.
Which keys take effect at once and which at the next start is in `reloading.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from homeport.config.chat import ChatSettings
from homeport.config.exec import ExecSettings
from homeport.config.extensions import ExtensionSettings, ServiceName
from homeport.config.ftp import FtpSettings
from homeport.config.hptp import HptpSettings
from homeport.config.ssh import SshSettings
from homeport.config.time import NtpSettings, TimeSettings
from homeport.config.values import Count, Mode, Network, Seconds, Section, Size, Workers, one_or_many


class TlsSettings(Section):
    """Certificate and key; relative paths start at the instance folder"""

    certificate: str = "tls/cert.pem"
    """PEM file with the certificate and its chain; the first run makes a self-signed one."""
    key: str = "tls/key.pem"
    """PEM file with the key, mode 0600, without a passphrase."""


class DatabaseSettings(Section):
    """Accounts, quota, bans"""

    url: str | None = None
    """postgresql://USER:PASSWORD@HOST/NAME; without it SQLite in state.db."""


class StorageSettings(Section):
    """Where files lie; relative paths start at the instance folder"""

    homes: str = "homes"
    """The folder of the accounts' homes."""
    stage: str = "stage"
    """The folder of unfinished uploads; it must be on the same file system as the homes."""
    stage_max_age_s: Seconds = 7 * 86400.0
    """Unfinished uploads that nobody continued for so long are thrown away."""
    reserve_bytes: Size = 64 * 1024 * 1024
    """Uploads leave so much of the disk free, for the database and the logs; 0: they may take all."""
    file_mode: Mode = 0o600
    """Permission bits of new files."""
    directory_mode: Mode = 0o700
    """Permission bits of new folders."""


class LimitSettings(Section):
    """Bounds on what the server spends"""

    sessions: Count = 10_000
    """Connections at once, over all services and workers of a machine."""
    sessions_per_address: Count = 100
    """Connections at once from one address (IPv6: one /64)."""
    sessions_per_account: Count = 50
    """Sessions at once of one account, unless the account has its own limit."""
    login_timeout_s: Seconds = 60.0
    """A connection that has not logged in by then is closed."""
    handshake_timeout_s: Seconds = 15.0
    """A TLS handshake that has not ended by then is given up."""
    idle_timeout_s: Seconds = 900.0
    """A session without a command and without a transfer for so long is closed."""
    send_timeout_s: Seconds = 60.0
    """A client that does not read its replies for so long is dropped."""
    data_connect_timeout_s: Seconds = 30.0
    """How long a transfer waits for its data connection."""
    data_timeout_s: Seconds = 120.0
    """A transfer without a single byte for so long is cut; what came is kept."""
    min_rate_bytes_per_s: Size = 8
    """A transfer that stays below this for all of data_timeout_s is cut."""
    transfer_threads: Count = 32
    """Threads for transfers and file work in each worker."""
    password_checks: Count = 2
    """Password checks at once in each worker; each takes 64 MiB and a core for a moment."""
    upload_bytes_per_s: Size | None = None
    """Upload limit of each account without its own; none when not set."""
    download_bytes_per_s: Size | None = None
    """Download limit of each account without its own; none when not set."""


class LoginSettings(Section):
    """Failed logins: first they wait, then their address is banned"""

    first_delay_s: Seconds = 0.5
    """The wait after the first failure; it doubles with each further one."""
    max_delay_s: Seconds = 8.0
    """The longest wait."""
    attempts_per_connection: Count = 4
    """So many failures end the connection."""
    failures_before_ban: Count = 10
    """So many failures within the window ban the address."""
    window_s: Seconds = 900.0
    """Failures older than this are forgotten."""
    ban_s: Seconds = 900.0
    """How long a ban lasts; one soon after another lasts twice as long."""
    max_ban_s: Seconds = 86400.0
    """The longest ban."""
    never_ban: Annotated[tuple[Network, ...], BeforeValidator(one_or_many)] = ()
    """Networks that are never banned."""
    password_cache_s: Seconds = 30.0
    """How long a verified password needs no second check, so that a client with ten connections pays once."""


class LogSettings(Section):
    """The logs folder"""

    xferlog: bool = True
    """Whether logs/xferlog is written, with transfers in the format of other FTP servers; audit.jsonl always is."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the server says on standard error."""


class Settings(Section):
    """Homeport's settings"""

    workers: Workers = 0
    """Worker processes; auto (or 0): one for each processor that the server may use."""
    fsync: Literal["always", "group", "never"] = "group"
    """always: each upload waits for its own fsync. group: concurrent uploads share one. never: the kernel decides."""
    drain_timeout_s: Seconds = 30.0
    """How long transfers may go on after a stop was asked for."""
    services: dict[ServiceName, ExtensionSettings] = Field(default_factory=dict)
    """Services of third parties, one table [services.NAME] each; docs/adding.md tells their keys."""
    ftp: FtpSettings = FtpSettings()
    ssh: SshSettings = SshSettings()
    hptp: HptpSettings = HptpSettings()
    exec: ExecSettings = ExecSettings()
    time: TimeSettings = TimeSettings()
    ntp: NtpSettings = NtpSettings()
    chat: ChatSettings = ChatSettings()
    tls: TlsSettings = TlsSettings()
    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    limits: LimitSettings = LimitSettings()
    login: LoginSettings = LoginSettings()
    logs: LogSettings = LogSettings()


def key_paths() -> tuple[str, ...]:
    """The dotted path of every key."""
    paths: list[str] = []
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            paths += [f"{name}.{key}" for key in field.annotation.model_fields]
        else:
            paths.append(name)
    return tuple(paths)
