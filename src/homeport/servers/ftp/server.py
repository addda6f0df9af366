"""The FTP server: its listening sockets, its connections, and its life from bind to close.

The one rule: what is handed in (core, threads) belongs to whoever built it; what is opened here is closed here.
"""

from __future__ import annotations

import asyncio
import socket

from homeport.servers.arrivals import Arrivals
from homeport.servers.core_access import CoreAccess
from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.control import ControlConnection
from homeport.servers.ftp.data import Farewells
from homeport.servers.ftp.front import Front
from homeport.servers.ftp.passive import PassivePorts
from homeport.servers.ftp.settings import FtpSettings
from homeport.servers.lifecycle import Address
from homeport.servers.listening import Wish, open_all
from homeport.servers.readiness import watch_of
from homeport.servers.tls import CertificateFiles, Certificates

_EXPLICIT, _IMPLICIT = "ftp", "ftps"
_GOING_DOWN = "The server is going down."


class FtpServer:
    """See lifecycle.Server. `certificate` may be None where `settings.tls` is `off`."""

    name = "ftp"

    def __init__(self, settings: FtpSettings, core: CoreAccess, certificate: CertificateFiles | None) -> None:
        if certificate is None and (settings.tls != "off" or settings.implicit_port is not None):
            raise ValueError("an FTP server with TLS needs a certificate")
        self._settings = settings
        self._core = core
        self._certificate = certificate
        self._arrivals: Arrivals[ControlConnection] = Arrivals(self._welcome, _GOING_DOWN)
        self._front: Front | None = None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the real ports; empty before `bind` and after `drain`."""
        return self._arrivals.addresses

    async def bind(self) -> None:
        """See lifecycle.Server. Raises OSError and ssl.SSLError for a certificate that cannot be used."""
        settings = self._settings
        certificates = None if self._certificate is None else Certificates(self._certificate)
        opened = open_all(Wish(_EXPLICIT, settings.listen, settings.port, settings.backlog, settings.reuse_port))
        if settings.implicit_port is not None:
            hosts = tuple(host for host in settings.listen if not host.startswith("unix:"))
            wish = Wish(_IMPLICIT, hosts, settings.implicit_port, settings.backlog, settings.reuse_port)
            try:
                opened += open_all(wish)
            except OSError:
                for _, listening in opened:
                    listening.close()
                raise
        self._arrivals.bound(opened)
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop)
        passive = PassivePorts(settings.passive_ports, deadlines, settings.times.connect_s)
        own_ports = frozenset(address.port for address, _ in opened)
        farewells = Farewells(deadlines)
        self._front = Front(settings, self._core, certificates, deadlines, passive, farewells, own_ports=own_ports)
        self._front.watch = watch_of(loop)

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._arrivals.serve()

    def reload(self, settings: FtpSettings) -> None:
        """Take new settings and the certificate as it is on the disk now: for new connections, and where a session
        looks anew. Addresses and passive ports stay. Raises OSError and ssl.SSLError, and nothing has changed then.
        """
        assert self._front is not None
        if self._front.certificates is not None:
            self._front.certificates.reload()
        self._settings = self._front.settings = settings

    async def drain(self, deadline_s: float) -> None:
        """See lifecycle.Server."""
        await self._arrivals.drain(deadline_s)

    async def close(self) -> None:
        """See lifecycle.Server."""
        if not await self._arrivals.close():
            return
        if self._front is not None:
            self._front.farewells.close()
            self._front.passive.close()
            if self._front.watch is not None:
                self._front.watch.close()
            self._front.deadlines.close()

    def _welcome(self, connection: socket.socket, address: Address) -> ControlConnection:
        assert self._front is not None
        # Telnet's Synch comes as urgent data, and ftplib sends a whole ABOR so: without this its last byte is lost.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        return ControlConnection(self._front, self._arrivals, implicit_tls=address.service == _IMPLICIT)
