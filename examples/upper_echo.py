"""An upper-case echo over TCP, as a service for Homeport; docs/adding.md walks through it.

A message is its length in four bytes, big-endian, and then its text in UTF-8; so is the answer. TCP delivers bytes, not
messages: what one side writes at once may come in pieces, and two messages may come together. The length says where
one ends, so nothing sticks together and nothing is cut.
"""

from __future__ import annotations

import asyncio
import struct

from homeport.servers.extensions.contract import Context

LENGTH = struct.Struct(">I")


class UpperEcho:
    """Answers each message with the same text in capitals."""

    def __init__(self, context: Context) -> None:
        self.max_bytes = int(context.options.get("max_bytes", 65536))
        self.log = context.log

    async def start(self) -> None:
        """Nothing to prepare."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it closes the connection, or announces more than it may send."""
        while not reader.at_eof():
            try:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            except asyncio.IncompleteReadError:
                return  # the client has finished
            if length > self.max_bytes:
                self.log.info("a message of %d bytes was announced, %d are allowed", length, self.max_bytes)
                return
            answer = (await reader.readexactly(length)).decode("utf-8", "replace").upper().encode()
            writer.write(LENGTH.pack(len(answer)) + answer)
            await writer.drain()

    async def stop(self) -> None:
        """Nothing to give back."""
