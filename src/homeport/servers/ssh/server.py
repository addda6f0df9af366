"""The SSH server: its listening sockets, its clients, and its life from bind to close.

The one rule: what is handed in (core, threads) belongs to whoever built it; what is opened here is closed here.
"""

from __future__ import annotations

import asyncio
import logging
import socket

import asyncssh

from homeport.servers.arrivals import Arrivals
from homeport.servers.core_access import CoreAccess
from homeport.servers.lifecycle import Address
from homeport.servers.listening import Wish, open_all
from homeport.servers.ssh import algorithms
from homeport.servers.ssh.commands import commands_ended
from homeport.servers.ssh.guest import Front, Guest
from homeport.servers.ssh.settings import SshSettings
from homeport.servers.ssh.wire import Connection, encryption, key_exchange

_GOING_DOWN = "the server is going down"
_CLOSE_S = 5.0  # for what is under way to end after its connections were cut
_REKEY_BYTES = 1 << 30
_REKEY_S = 3600


class SshServer:
    """See lifecycle.Server."""

    name = "ssh"

    def __init__(self, settings: SshSettings, core: CoreAccess) -> None:
        if core.keys is None:
            raise ValueError("an SSH server needs to know of public keys")
        self._settings = settings
        self._arrivals: Arrivals[Guest] = Arrivals(self._welcome, _GOING_DOWN)
        self._front = Front(settings, core, core.keys, self._arrivals)
        self._options: asyncssh.SSHServerConnectionOptions | None = None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the real ports; empty before `bind` and after `drain`."""
        return self._arrivals.addresses

    async def bind(self) -> None:
        """See lifecycle.Server. Raises OSError, also for a host key that cannot be read."""
        settings = self._settings
        self._options = await asyncio.to_thread(connection_options, settings, self._front)
        opened = open_all(Wish(self.name, settings.listen, settings.port, settings.backlog, settings.reuse_port))
        self._arrivals.bound(opened)

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._arrivals.serve()

    def reload(self, settings: SshSettings) -> None:
        """Take new settings, for new connections and where a session looks anew. Addresses and host keys stay."""
        self._settings = self._front.settings = settings

    async def drain(self, deadline_s: float) -> None:
        """See lifecycle.Server."""
        await self._arrivals.drain(deadline_s)

    async def close(self) -> None:
        """See lifecycle.Server."""
        if not await self._arrivals.close():
            return
        await commands_ended(self._settings.commands, _CLOSE_S)

    def _welcome(self, _connection: socket.socket, _address: Address) -> Connection:
        assert self._options is not None
        return Connection(asyncio.get_running_loop(), self._options)


def connection_options(settings: SshSettings, front: Front) -> asyncssh.SSHServerConnectionOptions:
    """What asyncssh is to do and not to do. Raises OSError for host keys that cannot be used."""
    logging.getLogger("asyncssh").setLevel(logging.WARNING)  # what clients do is in the audit log
    try:
        keys = [asyncssh.read_private_key(path) for path in settings.host_keys]
    except asyncssh.KeyImportError as error:
        raise OSError(f"an SSH host key cannot be used: {error}") from error
    if not keys:
        raise OSError("there is no SSH host key")
    times = settings.times
    return asyncssh.SSHServerConnectionOptions(
        server_factory=lambda: Guest(front),
        server_host_keys=keys,
        server_version="Homeport",
        kex_algs=key_exchange(),
        encryption_algs=encryption(),
        mac_algs=list(algorithms.MACS),
        compression_algs=list(algorithms.COMPRESSION),
        signature_algs=list(algorithms.SIGNATURES),
        public_key_auth=True,
        password_auth=True,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        x11_forwarding=False,
        agent_forwarding=False,
        allow_pty=True,
        line_editor=False,
        login_timeout=times.login_s,
        keepalive_interval=times.keepalive_s,
        keepalive_count_max=times.keepalives,
        rekey_bytes=_REKEY_BYTES,
        rekey_seconds=_REKEY_S,
    )
