"""Addresses of data connections: PORT, EPRT, PASV, EPSV (RFC 959, RFC 2428), and which of them are refused.

The one rule: a data connection goes to the control connection's peer or nowhere (RFC 2577).
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

_NUMBERS = re.compile(r"([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3})", re.ASCII)
_LOWEST_PORT = 1024  # below it stand other services, and no client listens there for data
_MAX_EPRT = 80


class UnknownFamily(ValueError):
    """An address family that is neither 1 (IPv4) nor 2 (IPv6)."""


@dataclass(frozen=True, slots=True)
class DataAddress:
    """Where the client waits for a data connection."""

    host: IPv4Address | IPv6Address
    port: int


def parse_port(text: str) -> DataAddress:
    """PORT's `h1,h2,h3,h4,p1,p2`. Raises ValueError."""
    match = _NUMBERS.fullmatch(text.strip())
    if match is None:
        raise ValueError("six numbers are wanted: h1,h2,h3,h4,p1,p2")
    numbers = [int(number) for number in match.groups()]
    if max(numbers) > 255:
        raise ValueError("a number is above 255")
    return DataAddress(IPv4Address(bytes(numbers[:4])), _port(numbers[4] * 256 + numbers[5]))


def parse_eprt(text: str) -> DataAddress:
    """EPRT's `|1|host|port|` with any printable delimiter. Raises UnknownFamily, ValueError."""
    text = text.strip()
    if not text or len(text) > _MAX_EPRT or not "!" <= text[0] <= "~" or text[0].isalnum():
        raise ValueError("|family|address|port| is wanted")
    parts = text.split(text[0])
    if len(parts) != 5 or parts[0] or parts[4]:
        raise ValueError("|family|address|port| is wanted")
    _, family, host, port = parts[:4]
    if not (family.isascii() and family.isdigit()):
        raise ValueError("|family|address|port| is wanted")
    if family not in ("1", "2"):
        raise UnknownFamily("only the families 1 (IPv4) and 2 (IPv6) are known")
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise ValueError("the port is no number from 1 to 65535")
    return DataAddress(_host(family, host), _port(int(port)))


def _host(family: str, text: str) -> IPv4Address | IPv6Address:
    address: IPv4Address | IPv6Address
    try:
        address = IPv4Address(text) if family == "1" else IPv6Address(text)
    except ValueError:
        raise ValueError(f"no address of family {family}") from None
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise ValueError("an address with a scope, or IPv4 inside IPv6, is not taken")
    return address


def _port(port: int) -> int:
    if not 0 < port < 65536:
        raise ValueError("the port is no number from 1 to 65535")
    return port


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """The address that a socket names, without its scope, and IPv4 where IPv6 only wraps it. Raises ValueError."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def refusal(target: DataAddress, peer: str, own_ports: Container[int] = ()) -> str | None:
    """Why the server does not connect to `target` for the control peer `peer`; None when it may.

    `own_ports`: the ports that this server's services listen on.
    """
    if target.host != plain_address(peer):
        return "data connections go only to the address that the control connection came from"
    if target.port < _LOWEST_PORT:
        return f"data connections do not go to ports below {_LOWEST_PORT}"
    if target.port in own_ports:
        return "data connections do not go to this server's own services"
    return None


def format_pasv(host: IPv4Address | str, port: int) -> str:
    """The text of 227. Some clients look for the parentheses, some for the first digit."""
    numbers = [*IPv4Address(host).packed, port >> 8, port & 0xFF]
    return f"Entering Passive Mode ({','.join(map(str, numbers))})."


def format_epsv(port: int) -> str:
    """The text of 229 (RFC 2428 section 3)."""
    return f"Entering Extended Passive Mode (|||{port}|)"


def parse_pasv(text: str) -> DataAddress:
    """The address in the text of a 227. Raises ValueError."""
    match = _NUMBERS.search(text)
    if match is None:
        raise ValueError("no address in the reply")
    return parse_port(match[0])


def parse_epsv(text: str) -> int:
    """The port in the text of a 229. Raises ValueError."""
    match = re.search(r"\(([!-~])\1\1([0-9]{1,5})\1\)", text, re.ASCII)
    if match is None:
        raise ValueError("no port in the reply")
    return _port(int(match[2]))
