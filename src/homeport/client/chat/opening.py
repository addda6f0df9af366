"""From a URL and a password to what ChatClient dials. One rule: a server's key is pinned, or known already; nobody is
asked.
"""

from __future__ import annotations

from collections.abc import Callable

from homeport.client.errors import UsageError
from homeport.client.fingerprint import parse_fingerprint
from homeport.client.hptp.opening import open_hptp
from homeport.client.hptp.remote import HptpRemote
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.places import config_folder
from homeport.client.trust import KnownHosts, Trust
from homeport.client.url import parse_url


def dialler(url: str, *, password: str, fingerprint: str | None = None) -> Callable[[], HptpRemote]:
    """Connections to `url`, hp://NAME@HOST. Without a `fingerprint` the key must be one that `homeport trust` keeps.

    Raises UsageError; what the connections raise is in `client.errors`.
    """
    place = parse_url(url)
    if place.scheme != "hp" or place.user is None:
        raise UsageError(f"{url!r} is no place to chat; write hp://NAME@HOST")
    pinned = None if fingerprint is None else parse_fingerprint(fingerprint)
    trust = Trust(KnownHosts(config_folder() / "known_hosts.toml"), pinned)
    credentials = Credentials(place.user, password)
    return lambda: open_hptp(place, credentials, trust, ConnectionOptions())
