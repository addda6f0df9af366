"""What the administrator decided about FTP, as plain values: the engine never reads a configuration."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

DEFAULT_HASHES = ("SHA-256", "SHA-512", "SHA-1", "MD5", "CRC32")


class TlsPolicy(enum.Enum):
    """Whether TLS is offered, and whether a login without it is refused."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The same for all connections of one listener.

    `private_data`: whoever has a private control connection gets no PROT C and no transfer without PROT P.
    `tls_offered` and `tls_required` follow from `tls`, once, as every command asks for them.
    `deflate_level` is zlib's for MODE Z, until the client asks for another.
    `forced_charset` ("utf-8" or a codec's name) fixes the names' charset for this client's address.
    `hosts` are the names that HOST accepts, folded to lower case; empty accepts any.
    """

    tls: TlsPolicy = TlsPolicy.REQUIRED
    private_data: bool = True
    active: bool = True
    mode_z: bool = True
    deflate_level: int = 1
    legacy_charset: str = "gb18030"
    forced_charset: str | None = None
    hosts: frozenset[str] = frozenset()
    hashes: tuple[str, ...] = DEFAULT_HASHES
    max_line_bytes: int = 4096
    max_waiting_bytes: int = 64 * 1024
    max_output_bytes: int = 64 * 1024
    max_unknown_before_login: int = 10
    max_unknown: int = 200
    system: str = "UNIX Type: L8"

    tls_offered: bool = field(init=False)
    tls_required: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tls_offered", self.tls is not TlsPolicy.OFF)
        object.__setattr__(self, "tls_required", self.tls is TlsPolicy.REQUIRED)
