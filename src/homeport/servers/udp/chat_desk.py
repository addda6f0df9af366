"""The chat's sessions on UDP, without a socket: datagrams in, the hub asked, datagrams out.

The one rule: until a datagram has proven that it comes from whom the key was given to, a stranger costs two hashes and
no memory; and an account is let in, and its address charged with a session, only after that address has answered.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from homeport.core.chat_keys import ChatKeys
from homeport.core.errors import HomeportError
from homeport.protocols.chat import talk
from homeport.protocols.chat.frames import BadDatagram, read_header
from homeport.protocols.chat.sealing import crypto_of
from homeport.protocols.chat.session import Options, Session, Where
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.servers.chat_hub import ChatHub, Run

_FULL_BYTES = 64 * 1024  # given to a client that has not read it: no more until it has read
_MOST_BYTES = 1024 * 1024  # for a client that asks and asks, and does not read the answers
_NOT_READ = "this client does not read what it is sent"
_EARLY_MESSAGES = 32  # before the account is known
_SHARE, _LEAST_SHARE = 8, 16  # no account has more than an eighth of the seats, unless there are few of them
_UNWELCOME = "this account may not log in any more"
OPTIONS = Options(gives_up_s=60.0, max_message_bytes=32 * 1024)


class Guest(Protocol):
    """An account that has been let in."""

    account_id: int
    account: str

    def leave(self) -> None:
        """The session is over."""
        ...


Admit = Callable[[int, Where, Callable[[str], None]], Guest]
"""Let an account in, by its number: it blocks, and raises HomeportError. The last argument ends the session."""


@dataclass(slots=True)
class DeskCounts:
    """Datagrams that belong to no session."""

    strange: int = 0
    turned_away: int = 0


class Seat:
    """One session. A Listener of the hub's."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.guest: Guest | None = None
        self.account_id = 0
        self.account = ""
        self.early: list[bytes] = []
        self.asked = False  # whether the account may come in
        self.touched: Callable[[Seat], None] = lambda _: None

    def push(self, message: bytes) -> None:
        """See Listener."""
        self.session.send(message)
        if self.session.queued_bytes > _MOST_BYTES:
            self.session.close(_NOT_READ)
        self.touched(self)

    @property
    def takes_more(self) -> bool:
        """See Listener."""
        return self.session.queued_bytes < _FULL_BYTES


class Desk:
    """All sessions. `run` is as the hub's; `wants_out` is called when there may be something to send."""

    def __init__(self, hub: ChatHub, keys: ChatKeys, admit: Admit, run: Run, *, max_seats: int = 5000) -> None:
        self.counts = DeskCounts()
        self.wants_out: Callable[[], None] = lambda: None
        self.seats: dict[bytes, Seat] = {}
        self._hub = hub
        self._keys = keys
        self._admit = admit
        self._run = run
        self._max_seats = max_seats
        self._taken: Counter[int] = Counter()  # seats of each account
        self._dirty: set[Seat] = set()

    @property
    def most_of_one(self) -> int:
        """How many seats one account may have."""
        return max(_LEAST_SHARE, self._max_seats // _SHARE)

    def receive(self, datagram: bytes, where: Where, now: float) -> None:
        """A datagram has come."""
        try:
            name = read_header(datagram).session
        except BadDatagram:
            self.counts.strange += 1
            return
        seat = self.seats.get(name)
        if seat is None:
            self._open(name, datagram, where, now)
            return
        if seat.session.receive(datagram, where, now):
            self._hear(seat)

    def take_output(self, now: float) -> tuple[list[tuple[bytes, Where]], list[Seat]]:
        """What must be sent, and the sessions that it came from: their deadlines are new."""
        dirty, self._dirty = list(self._dirty), set()
        made: list[tuple[bytes, Where]] = []
        for seat in dirty:
            made += seat.session.take_output(now)
            if seat.session.closed is not None:
                self._end(seat)
        return made, dirty

    def due(self, seat: Seat) -> None:
        """A session's deadline has come."""
        self._touch(seat)

    def review(self) -> None:
        """Now and then: end the sessions of accounts that were removed or disabled, or have expired."""

        def found(ids: frozenset[int]) -> None:
            for seat in list(self.seats.values()):
                if seat.account_id in ids:
                    self._put_out(seat, _UNWELCOME)

        if self.seats:
            self._hub.find_unwelcome(frozenset(seat.account_id for seat in self.seats.values()), found)

    def close(self, reason: str) -> None:
        """End all sessions, with a word; `take_output` has it."""
        for seat in list(self.seats.values()):
            seat.session.close(reason)
            self._touch(seat)

    def _open(self, name: bytes, datagram: bytes, where: Where, now: float) -> None:
        keys = self._keys.open(name)
        if keys is None:
            self.counts.strange += 1
            return
        session = Session(name, crypto_of(keys.server, keys.client, secrets.token_bytes), OPTIONS, now)
        if not session.receive(datagram, where, now):
            self.counts.strange += 1
            return
        if len(self.seats) >= self._max_seats or self._taken[keys.account_id] >= self.most_of_one:
            self.counts.turned_away += 1
            return
        self._keys.begun(name)
        self._taken[keys.account_id] += 1
        seat = self.seats[name] = Seat(session)
        seat.account_id, seat.touched = keys.account_id, self._touch
        self._hear(seat)

    def _let_in(self, seat: Seat) -> None:
        """Ask whether the account may come in, as soon as it is proven that somebody listens at its address."""
        where = seat.session.peer
        if where is None or seat.asked:
            return
        seat.asked = True
        self._run(
            lambda: self._admit(seat.account_id, where, lambda reason: self._put_out(seat, reason)),
            lambda guest: self._admitted(seat, guest),
        )

    def _admitted(self, seat: Seat, guest: Any) -> None:
        if isinstance(guest, BaseException):
            self._put_out(seat, str(guest) if isinstance(guest, HomeportError) else "the server made a mistake")
            return
        seat.guest, seat.account = guest, guest.account
        if seat.session.closed is not None:
            self._end(seat)
            return
        early, seat.early = seat.early, []
        for message in early:
            self._do(seat, message)

    def _hear(self, seat: Seat) -> None:
        self._let_in(seat)
        for message in seat.session.messages():
            if seat.guest is not None:
                self._do(seat, message)
            elif len(seat.early) < _EARLY_MESSAGES:
                seat.early.append(message)
        self._touch(seat)

    def _do(self, seat: Seat, message: bytes) -> None:
        try:
            request = talk.read_request(message)
        except talk.BadRequest as error:
            seat.session.close(str(error))
            self._touch(seat)
            return

        def reply(said: JsonObject | HomeportError) -> None:
            if isinstance(said, HomeportError):
                seat.push(talk.refusal(request.number, talk.code_of(type(said).__name__), str(said)))
            else:
                seat.push(talk.answer(request.number, said))

        self._hub.ask(seat, request, reply)

    def _put_out(self, seat: Seat, reason: str) -> None:
        seat.session.close(reason)
        self._touch(seat)

    def _end(self, seat: Seat) -> None:
        self._hub.quit(seat)
        if self.seats.pop(seat.session.name, None) is not None:
            self._taken[seat.account_id] -= 1
            if not self._taken[seat.account_id]:
                del self._taken[seat.account_id]
        if seat.guest is not None:
            guest, seat.guest = seat.guest, None
            guest.leave()

    def _touch(self, seat: Seat) -> None:
        self._dirty.add(seat)
        self.wants_out()
