"""The server that runs a third party's UDP service. The one rule: what the rules refuse, the service never sees."""

from __future__ import annotations

from homeport.servers.datagrams import Datagrams, Door, Rules, open_datagrams
from homeport.servers.datagrams import Peer as SocketAddress
from homeport.servers.extensions.contract import Context, DatagramService, Peer
from homeport.servers.lifecycle import Address, Life, Stage
from homeport.servers.listening import Wish


class DatagramServer:
    """See lifecycle.Server."""

    def __init__(self, context: Context, service: DatagramService, wish: Wish, rules: Rules) -> None:
        self.name = context.name
        self._service = service
        self._wish = wish
        self._rules = rules
        self._life = Life()
        self.datagrams = Datagrams((), rules, self._answer)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """See lifecycle.Server."""
        return self.datagrams.addresses

    async def bind(self) -> None:
        """See lifecycle.Server. Raises what the service's start raises, too."""
        self.datagrams = Datagrams(open_datagrams(self._wish), self._rules, self._answer)
        self._life.enter(Stage.BOUND)
        await self._service.start()

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._life.enter(Stage.SERVING)
        self.datagrams.open()

    async def drain(self, deadline_s: float) -> None:  # noqa: ARG002 - a datagram is answered at once or never
        """See lifecycle.Server."""
        self._life.enter(Stage.DRAINING)
        self.datagrams.close()

    async def close(self) -> None:
        """See lifecycle.Server."""
        if self._life.stage is Stage.CLOSED:
            return
        was_bound = self._life.stage is not Stage.NEW
        self._life.enter(Stage.CLOSED)
        self.datagrams.close()
        if was_bound:
            await self._service.stop()

    def _answer(self, data: bytes, peer: SocketAddress, _: Door) -> bytes | None:
        return self._service.datagram(data, Peer(peer[0], peer[1]))
