"""What all connections of one FTP server share.

The one rule: nothing here belongs to a single client; everything that a client's session needs from outside is here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from homeport.core.accounts import Account
from homeport.core.audit_events import Event
from homeport.core.home import Home
from homeport.core.login import Login
from homeport.core.sessions import SessionRecord, Sessions
from homeport.core.throttle import TokenBucket
from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.data import Farewells
from homeport.servers.ftp.passive import PassivePorts
from homeport.servers.ftp.pump import Buffers
from homeport.servers.ftp.settings import FtpSettings
from homeport.servers.offload import Offload
from homeport.servers.readiness import Watch
from homeport.servers.tls import Certificates


def _forget(_: Event) -> None:
    """No audit log."""


@dataclass(frozen=True, slots=True)
class FtpCore:
    """The rules of the house, as far as FTP meets them.

    `files`, `listings` and `logins` are threads: neither a queue of password checks nor folders of a million names may
    hold up transfers. `audit` notes an event, at once and whatever happens.
    """

    login: Login
    sessions: Sessions
    open_home: Callable[[Account, SessionRecord], Home]
    files: Offload
    listings: Offload
    logins: Offload
    audit: Callable[[Event], None] = _forget


class SharedRate:
    """A rate limit for several transfers at once: core's, behind a lock. See pump.Bucket."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bucket = TokenBucket(bytes_per_s)
        self._lock = threading.Lock()

    def delay(self, now: float, amount: float) -> float:
        """See TokenBucket."""
        with self._lock:
            return self._bucket.delay(now, amount)


@dataclass(slots=True)
class Front:
    """One server's shared things. `settings` may be replaced; sessions read them anew for each command."""

    settings: FtpSettings
    core: FtpCore
    certificates: Certificates | None
    deadlines: Deadlines
    passive: PassivePorts
    farewells: Farewells
    buffers: Buffers = field(default_factory=Buffers)
    own_ports: frozenset[int] = frozenset()
    watch: Watch | None = None
    _buckets: dict[tuple[int, int, bool], SharedRate] = field(default_factory=dict)

    @property
    def files(self) -> Offload:
        return self.core.files

    @property
    def listings(self) -> Offload:
        return self.core.listings

    def bucket(self, account_id: int, bytes_per_s: int, *, upload: bool) -> SharedRate:
        """The rate limit that all sessions of an account share; a changed limit makes a new one."""
        key = (account_id, bytes_per_s, upload)
        if key not in self._buckets:
            self._buckets = {other: bucket for other, bucket in self._buckets.items() if other[::2] != key[::2]}
            self._buckets[key] = SharedRate(bytes_per_s)
        return self._buckets[key]
