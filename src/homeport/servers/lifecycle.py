"""What the daemon knows of a server: one life cycle, the same for every protocol.

The one rule: construct (no effect) -> bind (sockets exist, nobody is answered) -> serve (clients come in) -> drain (no
new clients, work under way may end) -> close (nothing is left). A state is never entered twice.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol


class Stage(enum.Enum):
    """Where a server stands in its life."""

    NEW = "new"
    BOUND = "bound"
    SERVING = "serving"
    DRAINING = "draining"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: `host` and `port`, or `path` of a Unix socket. `service` is such as `ftp` or `ftps`,
    `transport` is tcp or udp.
    """

    service: str
    host: str
    port: int
    path: str | None = None
    transport: str = "tcp"

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Server(Protocol):
    """One protocol's front end."""

    @property
    def name(self) -> str:
        """The service's name in the settings, such as `ftp`."""
        ...

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the real ports; empty before `bind`."""
        ...

    async def bind(self) -> None:
        """Make the listening sockets. Raises OSError when an address cannot be had; nothing stays open then."""
        ...

    async def serve(self) -> None:
        """Let clients in. Returns at once; the work goes on in the loop."""
        ...

    async def drain(self, deadline_s: float) -> None:
        """Take no new client, end idle sessions, and wait up to `deadline_s` seconds for transfers under way."""
        ...

    async def close(self) -> None:
        """End everything that is left and free every descriptor. Works in every stage, twice too."""
        ...


_NEXT: dict[Stage, frozenset[Stage]] = {
    Stage.NEW: frozenset({Stage.BOUND, Stage.CLOSED}),
    Stage.BOUND: frozenset({Stage.SERVING, Stage.CLOSED}),
    Stage.SERVING: frozenset({Stage.DRAINING, Stage.CLOSED}),
    Stage.DRAINING: frozenset({Stage.CLOSED}),
    Stage.CLOSED: frozenset(),
}


class Life:
    """A server's stage, which moves along the table above and no other way."""

    __slots__ = ("stage",)

    def __init__(self) -> None:
        self.stage = Stage.NEW

    def enter(self, stage: Stage) -> None:
        """Move on to `stage`. Raises RuntimeError when that does not follow from where the server stands."""
        if stage not in _NEXT[self.stage]:
            raise RuntimeError(f"a server that is {self.stage.value} cannot become {stage.value}")
        self.stage = stage
