"""Those who come in through one server's doors: how they arrive, who is there, and how the house empties.

The one rule: whoever has come in is known until nothing of him is left, so that nobody is missed when the server drains
or closes, not even he who is on the doorstep at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from homeport.servers.lifecycle import Address, Life, Stage
from homeport.servers.listening import Doors

_log = logging.getLogger(__name__)

_CLOSE_S = 5.0  # for what is under way to end after its connection was cut


class Client(Protocol):
    """One who has come in, as the server that empties its house sees him."""

    def drain(self, reason: str) -> None:
        """Say `reason` and go; what is under way ends first."""
        ...

    def terminate(self, reason: str) -> None:
        """Say `reason` and go; what is under way is cut."""
        ...

    def abort(self) -> None:
        """Cut the connection now."""
        ...


C = TypeVar("C", bound=Client)


class Arrivals(Generic[C]):
    """One server's life, doors and clients; for the event loop's thread.

    `welcome` makes the protocol of a new connection, where OSError means that it has gone again. The client calls
    `came` when its connection is made, and `gone` once, when nothing is left of it. `farewell` is said to those who are
    there when the server goes down.
    """

    def __init__(self, welcome: Callable[[socket.socket, Address], asyncio.BaseProtocol], farewell: str) -> None:
        self._welcome = welcome
        self._farewell = farewell
        self._life = Life()
        self._doors = Doors((), self._accepted)
        self._arriving: set[asyncio.Task[None]] = set()
        self._clients: set[C] = set()
        self._all_gone = asyncio.Event()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the doors are; empty before they exist."""
        return self._doors.addresses

    @property
    def clients(self) -> tuple[C, ...]:
        """Who is there."""
        return tuple(self._clients)

    def bound(self, opened: Sequence[tuple[Address, socket.socket]]) -> None:
        """These are the doors, and they belong to this house now. Nobody is let in yet."""
        self._life.enter(Stage.BOUND)
        self._doors = Doors(opened, self._accepted)

    def serve(self) -> None:
        """Let clients in."""
        self._life.enter(Stage.SERVING)
        self._doors.open()

    def came(self, client: C) -> None:
        """It is there now."""
        self._clients.add(client)

    def gone(self, client: C) -> None:
        """Nothing is left of it."""
        self._clients.discard(client)
        if not self._clients:
            self._all_gone.set()

    async def drain(self, deadline_s: float) -> None:
        """See lifecycle.Server."""
        self._life.enter(Stage.DRAINING)
        await self._shut()
        for client in self.clients:
            client.drain(self._farewell)
        await self._wait_until_gone(deadline_s)

    async def close(self) -> bool:
        """See lifecycle.Server. False where that was done before."""
        if self._life.stage is Stage.CLOSED:
            return False
        self._life.enter(Stage.CLOSED)
        await self._shut()
        for client in self.clients:
            client.terminate(self._farewell)
        await asyncio.sleep(0)  # the last words are on their way
        for client in self.clients:
            client.abort()
        await self._wait_until_gone(_CLOSE_S)
        return True

    async def _shut(self) -> None:
        """Nobody comes any more, and whoever was on the doorstep is in: that takes the loop a turn or two."""
        self._doors.close()
        if self._arriving:
            await asyncio.wait(self._arriving)

    async def _wait_until_gone(self, deadline_s: float) -> None:
        self._all_gone.clear()
        if self._clients:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), deadline_s)

    def _accepted(self, connection: socket.socket, address: Address) -> None:
        task = asyncio.get_running_loop().create_task(self._adopt(connection, address))
        self._arriving.add(task)

        def arrived(task: asyncio.Task[None]) -> None:
            self._arriving.discard(task)
            if task.cancelled():  # the loop ends, perhaps before the first step
                connection.close()

        task.add_done_callback(arrived)

    async def _adopt(self, connection: socket.socket, address: Address) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._welcome(connection, address), connection
            )
        except OSError as error:
            _log.debug("a client went away while it came: %s", error)
            connection.close()
