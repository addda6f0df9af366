"""An upper-case echo over UDP, as a service for Homeport; docs/adding.md walks through it.

A datagram is a message already: it comes whole or not at all, so there is nothing to frame. But it may be lost, and its
sender may be forged. Homeport therefore sends no answer that is longer than its request.
"""

from __future__ import annotations

from homeport.servers.extensions.contract import Context, Peer


class UpperDatagrams:
    """Answers each datagram with the same text in capitals."""

    def __init__(self, context: Context) -> None:
        self.log = context.log

    async def start(self) -> None:
        """Nothing to prepare."""

    def datagram(self, data: bytes, peer: Peer) -> bytes | None:
        """The capitals; no answer to what is no text, or would become longer (one sharp s becomes two)."""
        try:
            answer = data.decode().upper().encode()
        except UnicodeDecodeError:
            self.log.debug("%s sent something that is no text", peer.host)
            return None
        return answer if len(answer) <= len(data) else None

    async def stop(self) -> None:
        """Nothing to give back."""
