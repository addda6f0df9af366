"""A whole chat in memory: a desk over a real database, many clients, and a network between them that loses, doubles and
reorders datagrams both ways. One clock, one seed: a run can be repeated exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from tests.core.chats import Chat
from tests.protocols.chat.lossy import Network, Weather, crypto

from homeport.client.chat.core import ChatCore, Refusal, Said
from homeport.core.chat_keys import ChatKeys
from homeport.protocols.chat.session import Options, Session
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.servers.chat_hub import ChatHub, HubRules
from homeport.servers.udp.chat_desk import Desk

SERVER = "server"
CLIENT_OPTIONS = Options(keeps_alive_s=3.0, gives_up_s=20.0)
RULES = HubRules(messages_per_s=1000, message_burst=1000, requests_per_s=1000, request_burst=1000)


def at_once(call: Callable[[], Any], done: Callable[[Any], None]) -> None:
    """The hub's `run`, without a thread."""
    try:
        result = call()
    except Exception as error:
        result = error
    done(result)


@dataclass
class Guest:
    account_id: int
    account: str
    left: bool = False

    def leave(self) -> None:
        self.left = True


@dataclass
class Resident:
    """A client: it gets a new key, as over HPTP, whenever its session is over."""

    town: Town
    account: str
    session: Session | None = None
    core: ChatCore = field(default_factory=ChatCore)
    heard: list[Said] = field(default_factory=list)
    answers: list[JsonObject | Refusal] = field(default_factory=list)
    connections: int = 0
    away: bool = False

    def connect(self) -> None:
        keys = self.town.giving.issue(self.town.chat.ids[self.account])
        sealed = crypto(keys.client, keys.server, self.connections)
        self.session = Session(keys.name, sealed, CLIENT_OPTIONS, self.town.now, peer=SERVER)
        self.connections += 1
        self.core.send = self.session.send
        self.core.begin()

    def say(self, room: str, text: str) -> None:
        self.core.say(room, text, self.answers.append)

    def join(self, room: str) -> None:
        self.core.join(room, self.answers.append, make=True)

    def pump(self) -> None:
        if self.away:
            return
        if self.session is None or self.session.closed is not None:
            self.connect()
        assert self.session is not None
        for data, where in self.session.take_output(self.town.now):
            self.town.network.send(data, self.account, where)
        for message in self.session.messages():
            self.core.receive(message)
        self.heard += [event for event in self.core.take_events() if isinstance(event, Said)]

    def texts(self, room: str) -> list[tuple[int, str, str]]:
        return [(said.id, said.sender, said.text) for said in self.heard if said.room == room]


class Town:
    def __init__(self, chat: Chat, weather: Weather, seed: int = 1, rules: HubRules = RULES) -> None:
        self.chat = chat
        self.rules = rules
        self.network = Network(weather, seed, self._arrive)
        self.residents: dict[Hashable, Resident] = {}
        self.giving = ChatKeys(chat.database, lambda: self.now)
        self.guests: list[Guest] = []
        self.desk: Desk | None = None
        self.hub = self.start_server()
        self._seats_due: dict[Any, float] = {}

    @property
    def now(self) -> float:
        return self.network.now

    def start_server(self) -> ChatHub:
        keys = ChatKeys(self.chat.database, lambda: self.now)
        keys.renew()
        self.hub = ChatHub(self.chat.log, self.chat.rooms, at_once, self.rules, lambda: self.now)
        self.desk = Desk(self.hub, keys, self._admit, at_once)
        self._seats_due = {}
        return self.hub

    def kill_server(self) -> None:
        """Not a word to anybody."""
        self.desk = None

    def move_in(self, *names: str) -> list[Resident]:
        self.chat.add(*names)
        new = [Resident(self, name) for name in names]
        self.residents.update({resident.account: resident for resident in new})
        return new

    def run(self, until: Callable[[], bool], longest_s: float = 600.0) -> None:
        """Go on until the condition holds; fails when it never does."""
        begin = self.now
        while not until():
            assert self.now < begin + longest_s, f"not within {longest_s:g} s"
            self._pump()
            self.network.step(min(self._next_at(), begin + longest_s))

    def settle(self, longest_s: float = 600.0) -> None:
        """Until every request is answered and everybody has heard everything."""
        self.run(self._is_quiet, longest_s)

    def _is_quiet(self) -> bool:
        idle = all(
            resident.core.unanswered == 0 and resident.session is not None and resident.session.is_idle
            for resident in self.residents.values()
            if not resident.away
        )
        return idle and self.desk is not None and all(seat.session.is_idle for seat in self.desk.seats.values())

    def _admit(self, account_id: int, _where: Hashable, _put_out: Callable[[str], None]) -> Guest:
        account = self.chat.accounts.by_id(account_id)
        self.guests.append(Guest(account.id, account.name))
        return self.guests[-1]

    def _arrive(self, data: bytes, sender: Hashable, receiver: Hashable, now: float) -> None:
        if receiver == SERVER:
            if self.desk is not None:
                self.desk.receive(data, sender, now)
        elif (resident := self.residents[receiver]).session is not None and not resident.away:
            assert resident.session is not None
            resident.session.receive(data, SERVER, now)

    def _pump(self) -> None:
        for resident in self.residents.values():
            resident.pump()
        if self.desk is None:
            return
        for seat, due in list(self._seats_due.items()):
            if due <= self.now:
                self.desk.due(seat)
        self.hub.tick()
        made, touched = self.desk.take_output(self.now)
        for data, where in made:
            self.network.send(data, SERVER, where)
        for seat in touched:
            self._seats_due[seat] = seat.session.deadline()
        self._seats_due = {seat: due for seat, due in self._seats_due.items() if seat.session.closed is None}

    def _next_at(self) -> float:
        here = [r.session.deadline() for r in self.residents.values() if r.session is not None and not r.away]
        there = list(self._seats_due.values()) if self.desk is not None else []
        return min([*here, *there, self.network.next_at])
