"""Settings of FTP and FTPS."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from homeport.config.ports import parse_ports
from homeport.config.values import Address, Charset, Listen, Network, OptionalPort, Port, PortSet, Section, narrowest


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
