"""From a URL to a Remote: the first one for a server and account connects, the others share its link.

The one rule: a link is shared only by those who would have proved the same.
"""

from __future__ import annotations

import threading

from homeport.client.hptp.link import Link
from homeport.client.hptp.login import enter
from homeport.client.hptp.remote import HptpRemote, SharedLink
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.trust import Trust
from homeport.client.url import RemoteUrl

_lock = threading.Lock()
_shared: dict[tuple[str, str], tuple[str, SharedLink]] = {}  # by server and account, with the password


def open_hptp(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> HptpRemote:
    """One more user of this process's link to that server. Raises as `login.enter` does."""
    with _lock:
        place = (url.server, credentials.user)
        if place in _shared:
            password, shared = _shared[place]
            if shared.is_open and password == credentials.password:
                return HptpRemote(shared)
        arrived = enter(url, credentials, trust, options)
        shared = SharedLink(Link(arrived.socket, arrived.connection, options.stall_timeout_s))
        _shared[place] = (credentials.password, shared)
        return HptpRemote(shared)
