"""The server that runs a third party's TCP service: it listens, admits, counts and times, and hands over streams.

The one rule: whatever the service does, its client is let go of: the connection ends with the call that serves it.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import cast

from homeport.core.errors import TooManySessions
from homeport.core.sessions import SessionRecord, Sessions
from homeport.servers.deadlines import Deadline, Deadlines
from homeport.servers.extensions.contract import Context, StreamService
from homeport.servers.lifecycle import Address, Life, Stage
from homeport.servers.listening import Doors, Wish, open_all
from homeport.servers.networks import Networks

_CLOSE_S = 5.0  # for what is written to reach the client after the service has returned
_LINE_BYTES = 65536  # the longest line that a service can read at once


@dataclass(frozen=True, slots=True)
class StreamRules:
    """Who may come, how many at once, and after how many silent seconds one is closed (0: never)."""

    networks: Networks = field(default_factory=Networks)
    max_connections: int = 1000
    idle_timeout_s: float = 300.0


class StreamServer:
    """See lifecycle.Server."""

    def __init__(self, context: Context, service: StreamService, wish: Wish, rules: StreamRules, sessions: Sessions):
        self.name = context.name
        self._log = context.log
        self._service = service
        self._wish = wish
        self._rules = rules
        self._sessions = sessions
        self._life = Life()
        self._doors = Doors((), self._accepted)
        self._deadlines: Deadlines | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """See lifecycle.Server."""
        return self._doors.addresses

    async def bind(self) -> None:
        """See lifecycle.Server. Raises what the service's start raises, too."""
        opened = open_all(self._wish)
        self._doors = Doors(opened, self._accepted)
        self._life.enter(Stage.BOUND)
        self._deadlines = Deadlines(asyncio.get_running_loop())
        await self._service.start()

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._life.enter(Stage.SERVING)
        self._doors.open()

    async def drain(self, deadline_s: float) -> None:
        """See lifecycle.Server."""
        self._life.enter(Stage.DRAINING)
        self._doors.close()
        if self._clients:
            await asyncio.wait(self._clients, timeout=deadline_s)

    async def close(self) -> None:
        """See lifecycle.Server."""
        if self._life.stage is Stage.CLOSED:
            return
        was_bound = self._life.stage is not Stage.NEW
        self._life.enter(Stage.CLOSED)
        self._doors.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        if self._deadlines is not None:
            self._deadlines.close()
        if was_bound:
            await self._service.stop()

    def _accepted(self, connection: socket.socket, address: Address) -> None:
        record = self._admit(connection, address)
        if record is None:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._serve(connection, record))
        self._clients.add(task)

        def gone(task: asyncio.Task[None]) -> None:
            self._clients.discard(task)
            self._sessions.close(record)
            if task.cancelled():  # perhaps before its first step
                connection.close()

        task.add_done_callback(gone)
        record.kick = lambda _reason: _cancel_soon(loop, task)

    def _admit(self, connection: socket.socket, address: Address) -> SessionRecord | None:
        """Count a client who may come in; None for one who may not."""
        try:
            peer = "unix" if address.path is not None else str(connection.getpeername()[0])
        except OSError:  # it has gone again
            return None
        if not self._rules.networks.admits(peer):
            self._log.info("%s may not come in", peer)
            return None
        if len(self._clients) >= self._rules.max_connections:
            self._log.warning("%s has to stay outside: there are %d connections", peer, len(self._clients))
            return None
        try:
            return self._sessions.open(self.name, peer)
        except TooManySessions as error:
            self._log.warning("%s has to stay outside: %s", peer, error)
            return None

    async def _serve(self, connection: socket.socket, record: SessionRecord) -> None:
        loop = asyncio.get_running_loop()
        assert self._deadlines is not None
        reader = asyncio.StreamReader(_LINE_BYTES, loop)
        protocol = _Watched(reader, self._deadlines, self._rules.idle_timeout_s)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:
            connection.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        record.doing = "connected"
        try:
            await self._service.connected(reader, writer)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._log.debug("%s went away: %s", record.peer, error)
        except Exception:  # noqa: BLE001 - logged; the service goes on for others
            self._log.exception("a client at %s could not be served", record.peer)
        finally:
            await self._let_go(writer)

    async def _let_go(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.transport.abort()


def _cancel_soon(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """For any thread."""
    loop.call_soon_threadsafe(task.cancel)


class _Watched(asyncio.StreamReaderProtocol):
    """Asyncio's streams with a deadline that every byte from the client moves."""

    def __init__(self, reader: asyncio.StreamReader, deadlines: Deadlines, idle_timeout_s: float) -> None:
        super().__init__(reader)
        self._idle_timeout_s = idle_timeout_s
        self._deadline: Deadline | None = deadlines.new(self._expired) if idle_timeout_s else None
        self._connection: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connection = cast(asyncio.Transport, transport)
        self._alive()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._alive()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._alive()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.discard()
            self._deadline = None
        super().connection_lost(exc)

    def _alive(self) -> None:
        if self._deadline is not None:
            self._deadline.set(self._idle_timeout_s)

    def _expired(self) -> None:
        if self._connection is not None:
            self._connection.abort()
