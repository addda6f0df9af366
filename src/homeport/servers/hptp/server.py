"""The HPTP server: its listening sockets, its connections, and its life from bind to close.

The one rule: what is handed in (core, threads) belongs to whoever built it; what is opened here is closed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

from homeport.servers.core_access import CoreAccess
from homeport.servers.deadlines import Deadlines
from homeport.servers.hptp.connection import PROTOCOL, HptpConnection
from homeport.servers.hptp.front import Front, Identity
from homeport.servers.hptp.settings import HptpSettings
from homeport.servers.lifecycle import Address, Life, Stage
from homeport.servers.listening import Doors, Wish, open_all
from homeport.servers.tls import CertificateFiles, Certificates

_log = logging.getLogger(__name__)

_GOING_DOWN = "the server is going down"
_CLOSE_S = 5.0  # for work to end after its connection was cut


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
        self._life = Life()
        self._doors = Doors((), self._accepted)
        self._front: Front | None = None
        self._certificates: Certificates | None = None
        self._connections: set[HptpConnection] = set()
        self._arriving: set[asyncio.Task[None]] = set()
        self._all_gone = asyncio.Event()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the real ports; empty before `bind` and after `drain`."""
        return self._doors.addresses

    async def bind(self) -> None:
        """See lifecycle.Server. Raises OSError and ssl.SSLError for a certificate that cannot be used."""
        settings = self._settings
        self._certificates = Certificates(self._files)
        identity = Identity.of(self._certificates)
        opened = open_all(Wish(PROTOCOL, settings.listen, settings.port, settings.backlog, settings.reuse_port))
        self._life.enter(Stage.BOUND)
        self._doors = Doors(opened, self._accepted)
        deadlines = Deadlines(asyncio.get_running_loop())
        self._front = Front(settings, self._core, self._proofs, identity, deadlines)

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._life.enter(Stage.SERVING)
        self._doors.open()

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
            self._front.deadlines.close()

    async def _wait_until_gone(self, deadline_s: float) -> None:
        self._all_gone.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), deadline_s)

    def _accepted(self, connection: socket.socket, _: Address) -> None:
        task = asyncio.get_running_loop().create_task(self._adopt(connection))
        self._arriving.add(task)

        def arrived(task: asyncio.Task[None]) -> None:
            self._arriving.discard(task)
            if task.cancelled():  # perhaps before its first step
                connection.close()

        task.add_done_callback(arrived)

    async def _adopt(self, connection: socket.socket) -> None:
        assert self._front is not None
        client = HptpConnection(self._front, self._gone)
        self._connections.add(client)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: client, connection)
        except OSError as error:
            _log.debug("a client went away while it came: %s", error)
            connection.close()
            self._gone(client)
        except asyncio.CancelledError:
            self._gone(client)
            raise

    def _gone(self, connection: HptpConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()
