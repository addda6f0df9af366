"""The HPTP server: its listening sockets, its connections, and its life from bind to close.

The one rule: what is handed in (core, threads) belongs to whoever built it; what is opened here is closed here.
"""

from __future__ import annotations

import asyncio
import socket

from homeport.servers.arrivals import Arrivals
from homeport.servers.core_access import CoreAccess
from homeport.servers.deadlines import Deadlines
from homeport.servers.hptp.connection import PROTOCOL, HptpConnection
from homeport.servers.hptp.front import Front, Identity
from homeport.servers.hptp.settings import HptpSettings
from homeport.servers.lifecycle import Address
from homeport.servers.listening import Wish, open_all
from homeport.servers.tls import CertificateFiles, Certificates

_GOING_DOWN = "the server is going down"


class HptpServer:
    """See lifecycle.Server. `core.proofs` must be there: nobody logs in by anything else."""

    name = PROTOCOL

    def __init__(self, settings: HptpSettings, core: CoreAccess, certificate: CertificateFiles) -> None:
        if core.proofs is None:
            raise ValueError("an HPTP server needs a way to check proofs")
        self._settings = settings
        self._core = core
        self._proofs = core.proofs
        self._files = certificate
        self._arrivals: Arrivals[HptpConnection] = Arrivals(self._welcome, _GOING_DOWN)
        self._front: Front | None = None
        self._certificates: Certificates | None = None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the real ports; empty before `bind` and after `drain`."""
        return self._arrivals.addresses

    async def bind(self) -> None:
        """See lifecycle.Server. Raises OSError and ssl.SSLError for a certificate that cannot be used."""
        settings = self._settings
        self._certificates = Certificates(self._files)
        identity = Identity.of(self._certificates)
        opened = open_all(Wish(PROTOCOL, settings.listen, settings.port, settings.backlog, settings.reuse_port))
        self._arrivals.bound(opened)
        deadlines = Deadlines(asyncio.get_running_loop())
        self._front = Front(settings, self._core, self._proofs, identity, deadlines)

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._arrivals.serve()

    def reload(self, settings: HptpSettings) -> None:
        """Take new settings and the certificate as it is on the disk now, for new connections. Addresses stay.

        Raises OSError and ssl.SSLError, and nothing has changed then.
        """
        assert self._front is not None
        assert self._certificates is not None
        self._certificates.reload()
        self._front.identity = Identity.of(self._certificates)
        self._settings = self._front.settings = settings

    async def drain(self, deadline_s: float) -> None:
        """See lifecycle.Server."""
        await self._arrivals.drain(deadline_s)

    async def close(self) -> None:
        """See lifecycle.Server."""
        if not await self._arrivals.close():
            return
        if self._front is not None:
            self._front.deadlines.close()

    def _welcome(self, _connection: socket.socket, _address: Address) -> HptpConnection:
        assert self._front is not None
        return HptpConnection(self._front, self._arrivals)
