"""What a third party's class must have to be a service. It is all that such a class needs to know of Homeport.

The one rule: a service lives as every server does. It is constructed without any effect, started before its first
client, and stopped after its last one; a service for TCP has `connected`, one for UDP has `datagram`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Context:
    """What a service is constructed with: its `name` and `options` in the settings, and a `log` of its own."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("homeport.services"))


@dataclass(frozen=True, slots=True)
class Peer:
    """Who sent a datagram."""

    host: str
    port: int


class Startable(Protocol):
    """The part of the life that both kinds share."""

    async def start(self) -> None:
        """Before the first client. What it raises keeps the server from starting."""
        ...

    async def stop(self) -> None:
        """After the last client; called also when the start failed half-way."""
        ...


class StreamService(Startable, Protocol):
    """A service over TCP or a Unix socket."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client. The connection is closed when this returns; it is cancelled when the server stops."""
        ...


class DatagramService(Startable, Protocol):
    """A service over UDP."""

    def datagram(self, data: bytes, peer: Peer) -> bytes | None:
        """The answer to one datagram; None for none. It runs on the event loop, so it must not wait for anything."""
        ...
