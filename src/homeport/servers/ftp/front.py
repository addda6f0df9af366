"""What all connections of one FTP server share.

The one rule: nothing here belongs to a single client; everything that a client's session needs from outside is here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from homeport.servers.core_access import CoreAccess
from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.data import Farewells
from homeport.servers.ftp.passive import PassivePorts
from homeport.servers.ftp.pump import Buffers
from homeport.servers.ftp.settings import FtpSettings
from homeport.servers.offload import Offload
from homeport.servers.readiness import Watch
from homeport.servers.tls import Certificates


@dataclass(slots=True)
class Front:
    """One server's shared things. `settings` may be replaced; sessions read them anew for each command."""

    settings: FtpSettings
    core: CoreAccess
    certificates: Certificates | None
    deadlines: Deadlines
    passive: PassivePorts
    farewells: Farewells
    buffers: Buffers = field(default_factory=Buffers)
    own_ports: frozenset[int] = frozenset()
    watch: Watch | None = None

    @property
    def files(self) -> Offload:
        return self.core.files

    @property
    def listings(self) -> Offload:
        return self.core.listings
