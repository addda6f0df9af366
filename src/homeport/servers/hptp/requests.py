"""One request of a session, and what its work may be: the seam between the session and the kinds of work.

The one rule: a request is answered exactly once, by whoever works on it, whatever happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from homeport.protocols.hptp.strict_json import JsonObject
from homeport.servers.hptp.arguments import Arguments


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose arguments are checked."""

    stream: int
    op: str
    arguments: Arguments


class Work(Protocol):
    """What a session tells of a request under way. Nothing is told after the answer."""

    def start(self) -> None:
        """Its turn has come: nobody who came before changes its paths any more."""
        ...

    def data(self, piece: memoryview) -> None:
        """Bytes of the client's body, perhaps before `start`."""
        ...

    def end(self, trailer: JsonObject) -> None:
        """The client's body is complete, perhaps before `start`."""
        ...

    def credit(self) -> None:
        """The client takes more."""
        ...

    def stop(self, code: str, reason: str) -> None:
        """End soon, answering with this error: the client does not want it, or has gone. Perhaps before `start`."""
        ...

    def stalls(self, now: float) -> bool:
        """Whether the client has kept it waiting for too long."""
        ...


class Brief:
    """Work that, once it is begun, ends soon by itself: nothing needs to be told to it."""

    __slots__ = ()

    def start(self) -> None:
        """See Work."""

    def data(self, piece: memoryview) -> None:
        """See Work. Only uploads have a body: the engine sees to that."""

    def end(self, trailer: JsonObject) -> None:
        """See Work."""

    def credit(self) -> None:
        """See Work."""

    def stop(self, code: str, reason: str) -> None:
        """See Work. Its answer comes all the same."""

    def stalls(self, now: float) -> bool:  # noqa: ARG002 - see Work
        """See Work."""
        return False
