"""What all connections of one FTP server share.

The one rule: nothing here belongs to a single client; everything that a client's session needs from outside is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from homeport.core.accounts import Account
from homeport.core.home import Home
from homeport.core.login import Login
from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.passive import PassivePorts
from homeport.servers.ftp.pump import Bucket, Buffers
from homeport.servers.ftp.settings import FtpSettings
from homeport.servers.offload import Offload
from homeport.servers.tls import Certificates


class Sessions(Protocol):
    """The registry of who is connected: core's."""

    def open(self, protocol: str, peer: str, kick: Callable[[str], None]) -> Any:
        """A record of a client that has come. `kick(reason)` ends it, from any thread. Raises TooManySessions."""
        ...

    def log_in(self, record: Any, account: Account) -> None:
        """The client is `account`. Raises TooManySessions."""
        ...

    def log_out(self, record: Any) -> None:
        """The client is nobody again."""
        ...

    def close(self, record: Any) -> None:
        """The client has gone."""
        ...

    def snapshot(self) -> Iterable[Any]:
        """All records."""
        ...


@dataclass(frozen=True, slots=True)
class FtpCore:
    """The rules of the house, as far as FTP meets them. `files` and `logins` are threads: a queue of password checks
    must not hold up transfers. `new_bucket` makes a rate limit of so many bytes a second.
    """

    login: Login
    sessions: Sessions
    open_home: Callable[[Account, Any], Home]
    files: Offload
    logins: Offload
    new_bucket: Callable[[int], Bucket]


@dataclass(slots=True)
class Front:
    """One server's shared things. `settings` may be replaced; sessions read them anew for each command."""

    settings: FtpSettings
    core: FtpCore
    certificates: Certificates | None
    deadlines: Deadlines
    passive: PassivePorts
    buffers: Buffers = field(default_factory=Buffers)
    own_ports: frozenset[int] = frozenset()
    _buckets: dict[tuple[int, int, bool], Bucket] = field(default_factory=dict)

    @property
    def files(self) -> Offload:
        return self.core.files

    def bucket(self, account_id: int, bytes_per_s: int, *, upload: bool) -> Bucket:
        """The rate limit that all sessions of an account share; a changed limit makes a new one."""
        key = (account_id, bytes_per_s, upload)
        if key not in self._buckets:
            self._buckets = {other: bucket for other, bucket in self._buckets.items() if other[::2] != key[::2]}
            self._buckets[key] = self.core.new_bucket(bytes_per_s)
        return self._buckets[key]
