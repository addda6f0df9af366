"""Accounts and a chat on a database, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from homeport.core.accounts import Accounts
from homeport.core.chat_log import ChatLimits, ChatLog, Message, Outcome, Post
from homeport.core.chat_rooms import ChatRooms
from homeport.core.passwords import HashCost
from homeport.core.state import Database

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=4096)


@dataclass
class Chat:
    """`say` posts and gives what became of it."""

    database: Database
    homes: Path
    limits: ChatLimits = field(default_factory=ChatLimits)
    now: float = 1000.0
    ids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.database, self.homes, cost=CHEAP)
        self.log = ChatLog(self.database, self.limits, lambda: self.now)
        self.rooms = ChatRooms(self.database, self.limits, lambda: self.now)
        self._tokens = 0

    def add(self, *names: str) -> None:
        for name in names:
            self.ids[name] = self.accounts.create(name, "secret word").id

    def post(self, name: str, room: str, text: str, token: str | None = None, kind: str = "say") -> Post:
        self._tokens += 1
        return Post(self.ids[name], name, room, text, token or f"t{self._tokens}", kind)

    def try_say(self, name: str, room: str, text: str, token: str | None = None) -> Outcome:
        return self.log.post([self.post(name, room, text, token)])[0]

    def say(self, name: str, room: str, text: str, token: str | None = None) -> Message:
        outcome = self.try_say(name, room, text, token)
        assert isinstance(outcome, Message), outcome
        return outcome

    def heard(self, name: str, room: str) -> list[tuple[int, str, str]]:
        heard: list[tuple[int, str, str]] = []
        while some := self.log.history(self.ids[name], room, after=len(heard), limit=200):
            heard += [(said.id, said.sender, said.text) for said in some]
        return heard
