"""A network that loses, doubles and reorders datagrams, on a clock of its own: the same seed, the same misfortunes."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from homeport.protocols.chat.sealing import crypto_of
from homeport.protocols.chat.session import Crypto, Options, Session

NAME = b"the session name"
SERVER = "server"


def crypto(own_key: bytes, their_key: bytes, seed: int = 0) -> Crypto:
    return crypto_of(own_key, their_key, random.Random(seed).randbytes)


def pair(
    options: Options | None = None, server_options: Options | None = None, now: float = 0.0
) -> tuple[Session, Session]:
    """A client's and a server's session with the same keys."""
    options = options or Options()
    ours, theirs = bytes(32), bytes([1]) * 32
    client = Session(NAME, crypto(ours, theirs), options, now, peer=SERVER)
    return client, Session(NAME, crypto(theirs, ours), server_options or options, now)


@dataclass(frozen=True)
class Weather:
    """Chances between 0 and 1, and delays in seconds."""

    lost: float = 0.0
    doubled: float = 0.0
    least_s: float = 0.01
    most_s: float = 0.01  # another one than the least reorders


class Network:
    """Delivers what is sent, or does not. `arrive(data, sender, receiver, now)` is called for each datagram."""

    def __init__(self, weather: Weather, seed: int, arrive: Callable[[bytes, Hashable, Hashable, float], None]) -> None:
        self.now = 0.0
        self.weather = weather
        self.sent = self.lost = 0
        self._chance = random.Random(seed)
        self._arrive = arrive
        self._flying: list[tuple[float, int, bytes, Hashable, Hashable]] = []
        self._order = itertools.count()

    def send(self, data: bytes, sender: Hashable, receiver: Hashable) -> None:
        self.sent += 1
        weather, chance = self.weather, self._chance
        for _ in range(2 if chance.random() < weather.doubled else 1):
            if chance.random() < weather.lost:
                self.lost += 1
                continue
            at = self.now + chance.uniform(weather.least_s, weather.most_s)
            heapq.heappush(self._flying, (at, next(self._order), data, sender, receiver))

    @property
    def next_at(self) -> float:
        return self._flying[0][0] if self._flying else float("inf")

    def step(self, until: float) -> None:
        """Go on to the next arrival, or to `until` if that is earlier."""
        if self.next_at > until:
            self.now = max(self.now, until)
            return
        self.now, _, data, sender, receiver = heapq.heappop(self._flying)
        self._arrive(data, sender, receiver, self.now)


class Line:
    """Two sessions and the network between them. The client's address can be changed while it runs."""

    def __init__(self, client: Session, server: Session, weather: Weather, seed: int = 1) -> None:
        self.client, self.server = client, server
        self.address: Hashable = "client"
        self.got: dict[str, list[bytes]] = {"client": [], "server": []}
        self.network = Network(weather, seed, self._arrive)

    def _arrive(self, data: bytes, sender: Hashable, receiver: Hashable, now: float) -> None:
        if receiver == SERVER:
            self.server.receive(data, sender, now)
        elif receiver == self.address:
            self.client.receive(data, SERVER, now)

    def pump(self) -> None:
        """Let both send what they have to send now."""
        now = self.network.now
        for data, where in self.client.take_output(now):
            self.network.send(data, self.address, where)
        for data, where in self.server.take_output(now):
            self.network.send(data, SERVER, where)
        self.got["client"] += self.client.messages()
        self.got["server"] += self.server.messages()

    def run(self, until: Callable[[], bool], longest_s: float = 600.0) -> float:
        """Go on until the condition holds; the time that it took. Fails when it never does."""
        begin = self.network.now
        while not until():
            assert self.network.now < begin + longest_s, f"not within {longest_s:g} s"
            self.pump()
            self.network.step(min(self.client.deadline(), self.server.deadline(), begin + longest_s))
        return self.network.now - begin

    def idle(self) -> bool:
        return self.client.is_idle and self.server.is_idle
