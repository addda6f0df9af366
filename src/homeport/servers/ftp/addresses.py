"""Who is who on the network: one form for every address, so that comparing two of them means something.

The one rule: an IPv4 address inside IPv6 (`::ffff:a.b.c.d`) is that IPv4 address, and a scope (`%eth0`) is dropped.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=1024)  # each transfer asks who has come
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


_NEAR = tuple(
    map(
        ipaddress.ip_network,
        (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "127.0.0.0/8",
            "fc00::/7",
            "fe80::/10",
            "::1",
        ),
    )
)


def is_near(address: Ip) -> bool:
    """Whether it is of a private network, this link or this machine: who is there reaches us by our own address."""
    return any(address in network for network in _NEAR if network.version == address.version)
