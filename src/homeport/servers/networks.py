"""Who may come in, by network, for servers that ask before anything else.

The one rule: a network that is denied stays out, whatever is allowed; where something is allowed, nobody else comes in.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network

_REMEMBERED = 4096  # addresses whose answer is kept: parsing one costs more than everything else about a datagram


class Networks:
    """The networks `allow` (none: all of them) without the networks `deny`, each such as `10.0.0.0/8` or `::1/128`."""

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self._allow = [ip_network(text) for text in allow]
        self._deny = [ip_network(text) for text in deny]
        self._is_open = not self._allow and not self._deny
        self._decided = functools.lru_cache(_REMEMBERED)(self._decide)

    def admits(self, host: str) -> bool:
        """Whether a peer at `host`, as its socket says, may come in; a Unix socket's peer, who has no address, may."""
        return self._is_open or self._decided(host)

    def _decide(self, host: str) -> bool:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:  # the folder's permissions guard a Unix socket
            return True
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self._deny):
            return False
        return not self._allow or any(address in network for network in self._allow)
