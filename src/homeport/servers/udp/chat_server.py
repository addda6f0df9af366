"""The chat's server: sockets, timers and the bell around the desk and the hub.

The one rule: every worker has a hub, for HPTP's sessions, and a bell; only the first has sockets and gives keys life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from homeport.core.accounts import Account
from homeport.core.errors import LoginRefused
from homeport.core.sessions import SessionRecord, Sessions
from homeport.protocols.chat.session import Where
from homeport.servers.chat_access import ChatAccess
from homeport.servers.chat_bell import Bell
from homeport.servers.datagrams import Datagrams, Door, Peer, Rules, open_datagrams
from homeport.servers.deadlines import Deadline, Deadlines
from homeport.servers.lifecycle import Address, Life, Stage
from homeport.servers.listening import Wish
from homeport.servers.udp.chat_desk import Desk, Seat

_TICK_S = 0.05
_REVIEW_S = 5.0
_GOING_DOWN = "the server is going down"


class ChatServer:
    """See lifecycle.Server. `wish` is None in workers without UDP; `bell` None where there is only one worker."""

    name = "chat"

    def __init__(self, access: ChatAccess, sessions: Sessions, bell: Bell | None, max_seats: int) -> None:
        self._access = access
        self._sessions = sessions
        self._bell = bell
        self._life = Life()
        self._wish: tuple[Wish, Rules] | None = None
        self._datagrams = Datagrams((), Rules(), self._arrived)
        self._deadlines: Deadlines | None = None
        self._plans: dict[Seat, Deadline] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self._flush_planned = False
        self.desk = Desk(access.hub, access.keys, self._admit, access.threads.run, max_seats=max_seats)
        self.desk.wants_out = self._flush_soon

    def listen(self, wish: Wish, rules: Rules) -> None:
        """Before `bind`: have sockets, too."""
        self._wish = wish, rules

    @property
    def addresses(self) -> tuple[Address, ...]:
        """See lifecycle.Server."""
        return self._datagrams.addresses

    async def bind(self) -> None:
        """See lifecycle.Server."""
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop)
        if self._wish is not None:
            wish, rules = self._wish
            self._datagrams = Datagrams(open_datagrams(wish), rules, self._arrived)
            await asyncio.to_thread(self._access.keys.renew)
        if self._bell is not None:
            self._bell.open()
            self._access.hub.set_bell(self._bell.ring)
        self._life.enter(Stage.BOUND)

    async def serve(self) -> None:
        """See lifecycle.Server."""
        self._life.enter(Stage.SERVING)
        self._datagrams.open()
        self._every(_TICK_S, self._access.hub.tick)
        self._every(_REVIEW_S, self._access.hub.review)
        self._every(_REVIEW_S, self.desk.review)

    def reload(self, rules: Rules) -> None:
        """Go by new rules from now on."""
        self._datagrams.set_rules(rules)

    async def drain(self, deadline_s: float) -> None:
        """See lifecycle.Server. What was said is stored; sessions are told and ended."""
        self._life.enter(Stage.DRAINING)
        try:
            async with asyncio.timeout(deadline_s):
                await self._access.threads.settle()
        except TimeoutError:
            pass
        self.desk.close(_GOING_DOWN)
        self._flush()
        self._datagrams.close()

    async def close(self) -> None:
        """See lifecycle.Server."""
        if self._life.stage is Stage.CLOSED:
            return
        self._life.enter(Stage.CLOSED)
        self.desk.close(_GOING_DOWN)
        self._flush()
        for timer in self._timers:
            timer.cancel()
        self._datagrams.close()
        if self._bell is not None:
            self._bell.close()
        if self._deadlines is not None:
            self._deadlines.close()
        await self._access.threads.settle()

    def _arrived(self, data: bytes, peer: Peer, door: Door) -> None:
        self.desk.receive(data, (door, peer), self._loop.time())

    def _flush_soon(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        made, touched = self.desk.take_output(self._loop.time() if self._deadlines is not None else 0.0)
        for data, where in made:
            door, peer = cast("tuple[Door, Peer]", where)  # what `_arrived` gave
            door.send(data, peer)
        for seat in touched:
            self._plan(seat)

    def _plan(self, seat: Seat) -> None:
        assert self._deadlines is not None
        plan = self._plans.get(seat)
        if seat.session.closed is not None:
            if plan is not None:
                plan.discard()
                del self._plans[seat]
            return
        if plan is None:
            plan = self._plans[seat] = self._deadlines.new(lambda: self.desk.due(seat))
        plan.set(max(0.0, seat.session.deadline() - self._loop.time()))

    def _every(self, seconds: float, call: Callable[[], None]) -> None:
        place = len(self._timers)

        def again() -> None:
            if self._life.stage is Stage.SERVING:
                self._timers[place] = self._loop.call_later(seconds, again)
                call()

        self._timers.append(self._loop.call_later(seconds, again))

    def _admit(self, account_id: int, where: Where, put_out: Callable[[str], None]) -> Visitor:
        """In a thread. Raises HomeportError."""
        account = self._access.account_of(account_id)
        if not account.enabled:
            raise LoginRefused("disabled")
        _, peer = cast("tuple[Door, Peer]", where)
        record = self._sessions.open("chat", peer[0])
        record.kick = lambda reason: self._kick(put_out, reason)
        try:
            self._sessions.log_in(record, account)
            self._access.watch(account, record)
        except BaseException:
            self._sessions.close(record)
            raise
        return Visitor(account, record, self._sessions)

    def _kick(self, put_out: Callable[[str], None], reason: str) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(put_out, reason)


class Visitor:
    """See chat_desk.Guest."""

    def __init__(self, account: Account, record: SessionRecord, sessions: Sessions) -> None:
        self.account_id = account.id
        self.account = account.name
        self._record = record
        self._sessions = sessions

    def leave(self) -> None:
        """See Guest."""
        self._sessions.close(self._record)
