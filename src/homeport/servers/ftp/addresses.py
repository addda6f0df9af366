"""Who is who on the network: one form for every address, so that comparing two of them means something.

The one rule: an IPv4 address inside IPv6 (`::ffff:a.b.c.d`) is that IPv4 address, and a scope (`%eth0`) is dropped.
"""

from __future__ import annotations

import ipaddress
import socket

from homeport.servers.ftp.settings import Network

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_ip(text: str) -> Ip | None:
    """The address that `text` spells, in its one form; None when it spells none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def peer_ip(found: object) -> Ip | None:
    """The address in what `getpeername`, `getsockname` or `accept` gave; None for a Unix socket."""
    return parse_ip(found[0]) if isinstance(found, tuple) and found else None


def family_of(address: Ip) -> socket.AddressFamily:
    """AF_INET or AF_INET6."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def announced_address(local: Ip, peer: Ip, public: tuple[tuple[Network, str], ...]) -> str:
    """The address that a PASV reply to `peer` names.

    `public` is (client network, address) in order; it counts for clients that come from the open network only, because
    a private or loopback client reached us by the local address and may not find its way back from outside.
    """
    if not (peer.is_private or peer.is_loopback or peer.is_link_local):
        for network, address in public:
            if peer.version == network.version and peer in network:
                return address
    else:
        for network, address in public:
            if peer.version == network.version and network.prefixlen > 0 and peer in network:
                return address  # somebody named this very private network
    return str(local)
