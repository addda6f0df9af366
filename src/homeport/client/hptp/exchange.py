"""One request and what came back of it so far.

The one rule: the link's thread puts in, one other thread takes out; what is taken is given back as credit by the taker.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from homeport.client.errors import ClientError, ProtocolViolation
from homeport.client.hptp.refusals import refusal
from homeport.client.lanes import news
from homeport.protocols.hptp.events import (
    DataReceived,
    ErrorReceived,
    HeadReceived,
    ItemsReceived,
    ResultReceived,
)
from homeport.protocols.hptp.strict_json import JsonObject

Arrival = HeadReceived | ItemsReceived | DataReceived | ResultReceived | ErrorReceived


class Carrier(Protocol):
    """The link, as far as an exchange knows it."""

    @property
    def lock(self) -> threading.Lock: ...

    def cancel(self, exchange: Exchange, why: str) -> None: ...

    def hurry(self) -> None: ...


class Exchange:
    """`doing` says what was asked, for people: "store /a"."""

    __slots__ = ("_arrived", "_failure", "_has_news", "_link", "_wake", "doing", "owner", "stream")

    def __init__(self, link: Carrier, owner: object, doing: str) -> None:
        self._link = link
        self.owner = owner
        self.doing = doing
        self.stream = 0  # until it is open
        self._arrived: deque[Arrival] = deque()
        self._failure: ClientError | None = None
        self._has_news = False
        self._wake: Callable[[], None] | None = None

    # --- the link's side, under its lock ---

    def put(self, arrival: Arrival) -> None:
        self._arrived.append(arrival)
        self.tell()

    def fail(self, failure: ClientError) -> None:
        """Nothing more comes."""
        self._failure = self._failure or failure
        self.tell()

    def tell(self) -> None:
        """There are news: an arrival, more credit, room for a request."""
        wake, self._wake = self._wake, None
        if wake is None:
            self._has_news = True
        else:
            wake()

    # --- the asker's side ---

    def arm(self, wake: Callable[[], None]) -> None:
        """See `lanes.Source`."""
        with self._link.lock:
            if not self._has_news:
                self._wake = wake
                return
            self._has_news = False
        wake()

    def hurry(self) -> None:
        """See `lanes.Source`."""
        self._link.hurry()

    @property
    def failure(self) -> ClientError | None:
        return self._failure

    def peek(self) -> Arrival | None:
        """What has come and was not taken, if anything. Raises what ended the connection."""
        if self._arrived:
            return self._arrived[0]
        if self._failure is not None:
            raise self._failure
        return None

    def drain(self) -> int:
        """Throw away what has come; how many bytes of DATA that was."""
        amount = sum(len(arrival.data) for arrival in self._arrived if isinstance(arrival, DataReceived))
        self._arrived.clear()
        return amount

    async def next(self) -> Arrival:
        """The next arrival, taken. Raises what an ERROR means, and what ended the connection."""
        while self.peek() is None:
            await news(self)
        arrival = self._arrived.popleft()
        if isinstance(arrival, ErrorReceived):
            raise refusal(arrival.code, arrival.message, self.doing)
        return arrival

    async def head(self) -> JsonObject:
        """The HEAD that must come next."""
        arrival = await self.next()
        if not isinstance(arrival, HeadReceived):
            raise self.nonsense(arrival)
        return arrival.head

    async def result(self) -> JsonObject:
        """The RESULT that must come next."""
        arrival = await self.next()
        if not isinstance(arrival, ResultReceived):
            raise self.nonsense(arrival)
        return arrival.result

    def nonsense(self, arrival: object) -> ProtocolViolation:
        """The error for what must not come here."""
        self._link.cancel(self, "not what was asked for")
        return ProtocolViolation(f"cannot {self.doing}: the server answers with {type(arrival).__name__}")
