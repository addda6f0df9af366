"""The FTP server: its listening sockets, its connections, and its life from bind to close.

The one rule: what is handed in (core, threads) belongs to whoever built it; what is opened here is closed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

from homeport.servers.core_access import CoreAccess
from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.control import ControlConnection
from homeport.servers.ftp.data import Farewells
from homeport.servers.ftp.front import Front
from homeport.servers.ftp.passive import PassivePorts
from homeport.servers.ftp.settings import FtpSettings
from homeport.servers.lifecycle import Address, Life, Stage
from homeport.servers.listening import Doors, Wish, open_all
from homeport.servers.readiness import watch_of
from homeport.servers.tls import CertificateFiles, Certificates

_log = logging.getLogger(__name__)

_EXPLICIT, _IMPLICIT = "ftp", "ftps"
_GOING_DOWN = "The server is going down."
_CLOSE_S = 5.0  # for handlers to end after their connections were cut


class FtpServer:
    """See lifecycle.Server. `certificate` may be None where `settings.tls` is `off`."""

    name = "ftp"

    def __init__(self, settings: FtpSettings, core: CoreAccess, certificate: CertificateFiles | None) -> None:
        if certificate is None and (settings.tls != "off" or settings.implicit_port is not None):
            raise ValueError("an FTP server with TLS needs a certificate")
        self._settings = settings
        self._core = core
        self._certificate = certificate
        self._life = Life()
        self._doors = Doors((), self._accepted)
        self._front: Front | None = None
        self._connections: set[ControlConnection] = set()
        self._arriving: set[asyncio.Task[None]] = set()
        self._all_gone = asyncio.Event()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the real ports; empty before `bind` and after `drain`."""
        return self._doors.addresses

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
        self._life.enter(Stage.BOUND)
        self._doors = Doors(opened, self._accepted)
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop)
        passive = PassivePorts(settings.passive_ports, deadlines, settings.times.connect_s)
        own_ports = frozenset(address.port for address, _ in opened)
        farewells = Farewells(deadlines)
        self._front = Front(settings, self._core, certificates, deadlines, passive, farewells, own_ports=own_ports)
        self._front.watch = watch_of(loop)

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._life.enter(Stage.SERVING)
        self._doors.open()

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
        self._life.enter(Stage.DRAINING)
        self._doors.close()
        for connection in list(self._connections):
            connection.drain(_GOING_DOWN)
        await self._wait_until_gone(deadline_s)

    async def close(self) -> None:
        """See lifecycle.Server."""
        if self._life.stage is Stage.CLOSED:
            return
        self._life.enter(Stage.CLOSED)
        self._doors.close()
        for task in self._arriving:
            task.cancel()
        await asyncio.gather(*self._arriving, return_exceptions=True)
        for connection in list(self._connections):
            connection.terminate(_GOING_DOWN)
        await asyncio.sleep(0)  # the last words are on their way
        for connection in list(self._connections):
            connection.abort()
        await self._wait_until_gone(_CLOSE_S)
        if self._front is not None:
            self._front.farewells.close()
            self._front.passive.close()
            if self._front.watch is not None:
                self._front.watch.close()
            self._front.deadlines.close()

    async def _wait_until_gone(self, deadline_s: float) -> None:
        self._all_gone.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), deadline_s)

    def _accepted(self, connection: socket.socket, address: Address) -> None:
        # Telnet's Synch comes as urgent data, and ftplib sends a whole ABOR so: without this its last byte is lost.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        task = asyncio.get_running_loop().create_task(self._adopt(connection, address))
        self._arriving.add(task)

        def arrived(task: asyncio.Task[None]) -> None:
            self._arriving.discard(task)
            if task.cancelled():  # perhaps before its first step
                connection.close()

        task.add_done_callback(arrived)

    async def _adopt(self, connection: socket.socket, address: Address) -> None:
        assert self._front is not None
        control = ControlConnection(self._front, self._gone, implicit_tls=address.service == _IMPLICIT)
        self._connections.add(control)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: control, connection)
        except OSError as error:
            _log.debug("a client went away while it came: %s", error)
            connection.close()
            self._gone(control)
        except asyncio.CancelledError:
            self._gone(control)
            raise

    def _gone(self, connection: ControlConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()
