"""docs/hptp-vectors.json, and two engines that talk without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import Event
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.states import Role

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "docs" / "hptp-vectors.json").read_text(encoding="utf-8")
)
SMALL = Limits(software="example 1", max_payload=65536, stream_window=65536, connection_window=131072, max_streams=2)


def sent(engine: Connection) -> bytes:
    return b"".join(engine.take_output())


class Pair:
    """A client and a server; `flow` carries everything that either has to say, and gathers what both heard."""

    def __init__(self, client: Limits = SMALL, server: Limits = SMALL, *, proved: bool = True) -> None:
        self.client = Connection(Role.CLIENT, client)
        self.server = Connection(Role.SERVER, server)
        self.heard_by_client: list[Event] = []
        self.heard_by_server: list[Event] = []
        if proved:
            self.flow()
            self.client.authenticated()
            self.server.authenticated()
            self.heard_by_client.clear()
            self.heard_by_server.clear()

    def flow(self) -> None:
        for _ in range(100):
            to_server, to_client = sent(self.client), sent(self.server)
            if not to_server and not to_client:
                return
            self.server.receive(to_server)
            self.client.receive(to_client)
            self.heard_by_server += self.server.events()
            self.heard_by_client += self.client.events()
        raise AssertionError("two engines that never stop talking")

    def at_client(self) -> list[Event]:
        self.flow()
        heard, self.heard_by_client = self.heard_by_client, []
        return heard

    def at_server(self) -> list[Event]:
        self.flow()
        heard, self.heard_by_server = self.heard_by_server, []
        return heard
