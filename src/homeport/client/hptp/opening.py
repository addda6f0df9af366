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
_shared: dict[tuple[str, str, str], SharedLink] = {}


def open_hptp(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> HptpRemote:
    """One more user of this process's link to that server. Raises as `login.enter` does."""
    with _lock:
        key = (url.server, credentials.user, credentials.password)
        found = _shared.get(key)
        if found is None or not found.take():
            arrived = enter(url, credentials, trust, options)
            found = _shared[key] = SharedLink(Link(arrived.socket, arrived.connection, options.stall_timeout_s))
            found.take()
        return HptpRemote(found)
