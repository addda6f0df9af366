"""One UDP service from bind to close: sockets, rules, and the function that answers.

The one rule: a service is a function from a datagram to its answer; everything else about it is here or in Datagrams.
"""

from __future__ import annotations

from homeport.servers.datagrams import Answer, Datagrams, Rules, open_datagrams
from homeport.servers.lifecycle import Address, Life, Stage
from homeport.servers.listening import Wish


class UdpServer:
    """See lifecycle.Server. `answer` and `over` are as in Datagrams."""

    def __init__(self, wish: Wish, rules: Rules, answer: Answer, *, over: Answer | None = None) -> None:
        self.name = wish.service
        self._wish = wish
        self._rules = rules
        self._answer = answer
        self._over = over
        self._life = Life()
        self.datagrams = Datagrams((), rules, answer)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """See lifecycle.Server."""
        return self.datagrams.addresses

    async def bind(self) -> None:
        """See lifecycle.Server."""
        self.datagrams = Datagrams(open_datagrams(self._wish), self._rules, self._answer, over=self._over)
        self._life.enter(Stage.BOUND)

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._life.enter(Stage.SERVING)
        self.datagrams.open()

    def reload(self, rules: Rules) -> None:
        """Go by new rules from now on. Addresses stay."""
        self._rules = rules
        self.datagrams.set_rules(rules)

    async def drain(self, deadline_s: float) -> None:  # noqa: ARG002 - a datagram is answered at once or never
        """See lifecycle.Server."""
        self._life.enter(Stage.DRAINING)
        self.datagrams.close()

    async def close(self) -> None:
        """See lifecycle.Server."""
        if self._life.stage is not Stage.CLOSED:
            self._life.enter(Stage.CLOSED)
            self.datagrams.close()
