"""Every setting with its default, its unit in its name and its meaning. One rule: nothing else has defaults.

The texts under the keys become the comments of `homeport config show` and of the file that the first run writes.
Which keys take effect at once and which at the next start is in `reloading.py`.
"""

from __future__ import annotations

import codecs
import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from homeport.config.ports import parse_ports
from homeport.config.units import parse_duration, parse_mode, parse_size


def _one_or_many(value: object) -> object:
    """One address may stand alone; a list becomes a tuple, because the models are frozen."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _check_listen(addresses: tuple[str, ...]) -> tuple[str, ...]:
    if not addresses:
        raise ValueError("no address to listen on; name one, or set enabled = false")
    for address in addresses:
        if not (address.startswith("unix:") and len(address) > len("unix:")) and not _is_address(address):
            raise ValueError(
                f"{address!r} is no IP address and not unix:PATH; write such as 0.0.0.0, ::1 or unix:run/ftp"
            )
    if len(set(addresses)) != len(addresses):
        raise ValueError("an address stands there twice; name each once")
    return addresses


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_ports(text: str) -> str:
    parse_ports(text)
    return text


def _ports_from_number(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_charset(name: str) -> str:
    """A charset that Python knows, that is text, and in which ASCII means itself (or commands could not be read)."""
    try:
        if "/a\r\n".encode(name) != b"/a\r\n":
            raise ValueError(f"{name!r} does not contain ASCII; take one such as gb18030, big5 or latin-1")
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"no charset is called {name!r}; take one such as gb18030, big5 or latin-1") from None


def _check_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no network: {error}; write such as 192.168.0.0/16 or ::/0") from None
    return text


def _check_address(text: str) -> str:
    if not _is_address(text):
        raise ValueError(f"{text!r} is no IP address; write the one that clients reach, such as 203.0.113.7")
    return text


def _off_is_none(value: object) -> object:
    return None if value == "off" else value


Port = Annotated[int, Field(ge=0, le=65535)]
OptionalPort = Annotated[
    Annotated[int, Field(ge=0, le=65535)] | None,
    BeforeValidator(_off_is_none),
    PlainSerializer(lambda port: "off" if port is None else port),
]
Seconds = Annotated[float, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
Mode = Annotated[int, BeforeValidator(parse_mode), PlainSerializer(lambda mode: f"{mode:04o}")]
Listen = Annotated[tuple[str, ...], BeforeValidator(_one_or_many), AfterValidator(_check_listen)]
PortSet = Annotated[str, BeforeValidator(_ports_from_number), AfterValidator(_check_ports)]
Charset = Annotated[str, AfterValidator(_check_charset)]
Network = Annotated[str, AfterValidator(_check_network)]
Address = Annotated[str, AfterValidator(_check_address)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """What all sections share: unknown keys are errors, nothing is coerced, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class FtpSettings(Section):
    """FTP and FTPS"""

    enabled: bool = True
    """Whether this service runs."""
    port: Port = 2121
    """Control port, with AUTH TLS; 0 takes any free one."""
    listen: Listen = ("0.0.0.0", "::")  # noqa: S104 - a file server serves the network; logins need TLS
    """Addresses to listen on, or unix:PATH."""
    tls: Literal["required", "optional", "off"] = "required"
    """required: no login without TLS. optional: plain logins too. off: no TLS at all."""
    data_tls: Literal["required", "optional"] = "required"
    """required: PROT P alone where the control connection has TLS. optional: PROT C too."""
    data_tls_resumption: Literal["off", "prefer", "require"] = "prefer"
    """Whether a data connection must resume the TLS session of its own control connection."""
    require_close_notify: bool = True
    """Whether a private upload that ends without TLS's close_notify counts as cut (426, resumable)."""
    implicit_port: OptionalPort = None
    """Port for implicit TLS (ftps://), often 990; "off" for none."""
    passive_ports: PortSet = "2300-2399"
    """Ports for passive data connections, holes allowed: 2300-2349,2360-2399. "any" leaves it to the kernel."""
    public_address: Address | dict[Network, Address] | None = None
    """The IPv4 address that PASV names, for servers behind NAT: one for all, or a table from network to address."""
    allow_active: bool = True
    """Whether PORT and EPRT work (always to the client's own address and to ports above 1023)."""
    legacy_charset: Charset = "gb18030"
    """The charset of names from clients that do not speak UTF-8."""
    charset_by_network: dict[Network, Literal["utf-8", "auto"] | Charset] = Field(default_factory=dict)
    """Client networks whose names are in a known charset, such as { "192.168.7.0/24" = "gb18030" }."""
    deflate_level: Annotated[int, Field(ge=0, le=9)] = 1
    """zlib's level for MODE Z; 0 switches MODE Z off."""
    greeting: str = "Homeport ready"
    """What the 220 line says."""
    max_line_bytes: Annotated[int, Field(ge=512, le=65536)] = 4096
    """The longest command line; a longer one ends the connection."""

    def passive_port_numbers(self) -> tuple[int, ...]:
        """The passive ports one by one; empty: any free one."""
        return parse_ports(self.passive_ports)

    def public_address_for(self, client: str) -> str | None:
        """The address that `client` (an IP address) must be told for passive connections; None: the socket's own.

        The narrowest network of the table that contains the client decides.
        """
        if not isinstance(self.public_address, dict):
            return self.public_address
        return narrowest(self.public_address, client)

    def charset_for(self, client: str) -> str | None:
        """The charset that `client`'s network is known to speak; None: decided by the session."""
        charset = narrowest(self.charset_by_network, client)
        return None if charset == "auto" else charset


def narrowest(table: dict[str, str], client: str) -> str | None:
    """The value of the narrowest network in `table` that contains the IP address `client`."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:  # a Unix socket's peer has no address
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    networks = [(ipaddress.ip_network(text), value) for text, value in table.items()]
    fitting = [(network.prefixlen, value) for network, value in networks if address in network]
    return max(fitting)[1] if fitting else None


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
    never_ban: Annotated[tuple[Network, ...], BeforeValidator(_one_or_many)] = ()
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

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes."""
    fsync: Literal["always", "group", "never"] = "group"
    """always: each upload waits for its own fsync. group: concurrent uploads share one. never: the kernel decides."""
    drain_timeout_s: Seconds = 30.0
    """How long transfers may go on after a stop was asked for."""
    ftp: FtpSettings = FtpSettings()
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
