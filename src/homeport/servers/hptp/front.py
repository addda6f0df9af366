"""What all connections of one HPTP server share.

The one rule: nothing here belongs to a single client; everything that a client's session needs from outside is here.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from homeport.core.proof_login import ProofLogin
from homeport.protocols.channel_binding import server_end_point
from homeport.protocols.rooms import Rooms
from homeport.servers.core_access import CoreAccess
from homeport.servers.deadlines import Deadlines
from homeport.servers.hptp.settings import HptpSettings
from homeport.servers.tls import Certificates

ALPN = "hptp/1"
PIECE_BYTES = 256 * 1024  # read from a socket, or from a file for one, at once
_ROOM_BYTES = PIECE_BYTES + 32 * 1024
_ROOMS = 32  # kept


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate that new connections get: the context that presents it, and what proofs are bound to."""

    context: ssl.SSLContext
    binding: bytes = field(repr=False)

    @classmethod
    def of(cls, certificates: Certificates) -> Identity:
        """Raises ValueError for a certificate that no proof can be bound to."""
        context = certificates.context((ALPN,))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0  # nothing is ever resumed: every connection proves both sides anew
        return cls(context, server_end_point(certificates.leaf()))


@dataclass(slots=True)
class Front:
    """One server's shared things. `settings` and `identity` may be replaced; new connections read them anew."""

    settings: HptpSettings
    core: CoreAccess
    proofs: ProofLogin
    identity: Identity
    deadlines: Deadlines
    # Both hold bytes only within one call on the loop, so that an idle connection has no buffers.
    incoming: bytearray = field(default_factory=lambda: bytearray(PIECE_BYTES))
    outgoing: bytearray = field(default_factory=lambda: bytearray(PIECE_BYTES))
    rooms: Rooms = field(default_factory=lambda: Rooms(_ROOM_BYTES, _ROOMS))  # for what comes, with its last record
