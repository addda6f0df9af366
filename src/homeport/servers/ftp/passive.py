"""Passive data connections: the ports to listen on, and a listener that lets only the right client in.

The one rule: an announcement belongs to one session and takes one connection, from the address of that session's
control connection; anybody else is closed at once and does not use it up.

A socket whose client came rests with its port and serves another announcement, because making one costs more than a
small file. Whoever knocked before that announcement is closed. A socket whose client did not come is closed, for he
may still come. When no port is free, an announcement is taken back: see giving_way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import select
import socket
from collections.abc import Hashable

from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.addresses import Ip, family_of, peer_ip
from homeport.servers.ftp.data import DataRefused, Socket
from homeport.servers.ftp.giving_way import who_gives_way
from homeport.servers.readiness import Side, Waits, Woken

_BACKLOG = 8  # strangers may stand in the queue before the true client
_STRANGERS = 32  # closed in one go
_RESTING = 128  # sockets at most that wait for another announcement
_RESTING_SHARE = 4  # ... and this part of the allowed ports at most, which other workers may share
_TOO_LATE = "The data connection did not come in time; is the passive port open in your firewall?"
_TAKEN_BACK = "Ports are short and another client needed yours; send PASV or EPSV again."
_STREAM = int(socket.SOCK_STREAM)
_RANDOM = random.SystemRandom()  # predictable ports can be stolen


class PassivePorts:
    """Where listeners come from: a random free port of the allowed ones, or any when none are named."""

    def __init__(self, ports: tuple[int, ...], deadlines: Deadlines, accept_timeout_s: float) -> None:
        self._free = list(ports)
        self._any = not ports
        self._resting: list[_Berth] = []
        self.announced: dict[PassiveListener, None] = {}  # oldest first
        self._most_resting = _RESTING if self._any else min(_RESTING, len(ports) // _RESTING_SHARE)
        self._dice = _Dice()
        self.deadlines = deadlines
        self.accept_timeout_s = accept_timeout_s

    def open(self, local: Ip, peer: Ip, owner: Hashable = None) -> PassiveListener:
        """A listener on `local` for `peer` alone, counted as one of `owner`'s.

        Raises DataRefused when no port is free and nobody has to give one back.
        """
        try:
            berth = (
                self._rested(local)
                or self._new(local)
                or self._in_place_of_one_that_rests(local)
                or self._in_place_of_one_that_gives_way(local, owner)
            )
        except OSError as error:
            raise DataRefused(_no_listener(error)) from error
        if berth is None:
            raise DataRefused("No passive port is free; try again in a moment, or use PORT or EPRT.")
        return PassiveListener(self, berth, peer, owner)

    def close(self) -> None:
        """Nobody will open a listener any more."""
        self._most_resting = 0
        while self._resting:
            self.retire(self._resting[-1])

    def rest(self, berth: _Berth) -> None:
        """The client came. For PassiveListener alone."""
        if len(self._resting) >= self._most_resting:
            self.retire(berth)
            return
        berth.user = None
        berth.deadline.set(self.accept_timeout_s)
        self._resting.append(berth)

    def retire(self, berth: _Berth) -> None:
        """Close its socket; the port is free again. For PassiveListener and _Berth alone."""
        if berth in self._resting:
            self._resting.remove(berth)
        berth.deadline.discard()
        berth.listening.close()
        if not self._any:
            self._free.append(berth.port)

    def _rested(self, local: Ip) -> _Berth | None:
        while (berth := self._picked(local)) is not None:
            if berth.is_deserted():
                return berth
            self.retire(berth)
        return None

    def _picked(self, local: Ip) -> _Berth | None:
        """One of those that rest on this address, which rests no more."""
        resting = self._resting
        if not resting:
            return None
        index = self._dice.below(len(resting))
        found = resting[index].local
        if found is not local and found != local:  # comparing two addresses takes as long as looking at the door
            index = next((other for other, berth in enumerate(resting) if berth.local == local), -1)
            if index < 0:
                return None
        resting[index], resting[-1] = resting[-1], resting[index]
        return resting.pop()

    def _new(self, local: Ip) -> _Berth | None:
        if self._any:
            return _Berth(self, _listen(local, 0), local)
        for untried in range(len(self._free), 0, -1):
            index = _RANDOM.randrange(untried)
            self._free[index], self._free[untried - 1] = self._free[untried - 1], self._free[index]
            listening = _listen_unless_taken(local, self._free[untried - 1])
            if listening is not None:
                self._free.pop(untried - 1)
                return _Berth(self, listening, local)
        return None

    def _in_place_of_one_that_rests(self, local: Ip) -> _Berth | None:
        if not self._resting:
            return None
        self.retire(self._resting[0])
        return self._new(local)

    def _in_place_of_one_that_gives_way(self, local: Ip, owner: Hashable) -> _Berth | None:
        giving_way = who_gives_way(self.announced, owner, self.deadlines.now())
        if giving_way is None:
            return None
        giving_way.take_back()
        return self._new(local)


class _Berth:
    """A listening socket that serves one announcement after another. Closes itself when left alone for too long."""

    __slots__ = ("_door", "_ports", "deadline", "family", "listening", "local", "port", "user")

    def __init__(self, ports: PassivePorts, listening: socket.socket, local: Ip) -> None:
        self._ports = ports
        self.listening = listening
        self._door = select.poll()
        self._door.register(listening, select.POLLIN)
        self.local = local
        self.family = int(listening.family)
        self.port: int = listening.getsockname()[1]
        self.user: PassiveListener | None = None
        self.deadline = ports.deadlines.new(self._expired)

    def is_deserted(self) -> bool:
        """Whether nobody stands at the door, after those who did were sent away."""
        for _ in range(_STRANGERS):
            if not self._door.poll(0):  # a tenth of what it costs to be refused by accept
                return True
            with contextlib.suppress(OSError):
                self.listening.accept()[0].close()
        return False

    def _expired(self) -> None:
        if self.user is None:
            self._ports.retire(self)
        else:
            self.user.close()


class PassiveListener:
    """One announced port. Closes itself when nobody has come within the accept time-out."""

    __slots__ = ("_berth", "_peer", "_ports", "_waits", "_why_closed", "is_held", "owner", "port", "since")

    def __init__(self, ports: PassivePorts, berth: _Berth, peer: Ip, owner: Hashable) -> None:
        self._ports = ports
        self._berth: _Berth | None = berth
        self._peer = peer
        self._waits: Waits | None = None
        self._why_closed = _TOO_LATE
        self.owner = owner
        self.since = ports.deadlines.now()
        self.is_held = False
        self.port = berth.port
        berth.user = self
        berth.deadline.set(ports.accept_timeout_s)
        ports.announced[self] = None

    @property
    def is_open(self) -> bool:
        return self._berth is not None

    def hold(self) -> None:
        """See Endpoint: `connect` counts the accept time-out anew. Raises DataRefused when it is closed already."""
        if self._berth is None:
            raise DataRefused(self._why_closed)
        self._berth.deadline.clear()
        self.is_held = True

    def at_once(self) -> Socket | None:
        """See Endpoint."""
        berth = self._berth
        if berth is None:
            raise DataRefused(self._why_closed)
        connection = self._accept_one(berth)
        if connection is not None:
            self._ports.rest(self._released(berth))
        return connection

    async def connect(self, waits: Waits) -> Socket:
        """The client's connection. Raises DataRefused; closes itself in any case."""
        try:
            give_up_at = 0.0
            while self._berth is not None:
                self._berth.deadline.clear()
                if (connection := self.at_once()) is not None:
                    return connection
                now = self._ports.deadlines.now()
                give_up_at = give_up_at or now + self._ports.accept_timeout_s
                self._waits = waits
                if await waits.ready(self._berth.listening.fileno(), Side.READ, give_up_at - now) is not Woken.READY:
                    break
            raise DataRefused(self._why_closed)
        finally:
            self.close()

    def take_back(self) -> None:
        """Another client needs the port more; whoever waits for this one's hears it as DataRefused."""
        self._why_closed = _TAKEN_BACK
        if self._waits is not None:
            self._waits.interrupt()
        self.close()

    def _released(self, berth: _Berth) -> _Berth:
        self._berth = None
        self._ports.announced.pop(self, None)
        return berth

    def close(self) -> None:
        """Listen no more; the port is free again. Works twice, and does nothing when the client has come."""
        if self._berth is not None:
            self._ports.retire(self._released(self._berth))

    def _accept_one(self, berth: _Berth) -> Socket | None:
        for _ in range(_STRANGERS):
            try:
                fd, address = berth.listening._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - less than `accept` asks
            except BlockingIOError:
                return None
            except ConnectionAbortedError:
                continue  # gone again before it was accepted
            except OSError as error:
                raise DataRefused(_no_listener(error)) from error
            came = peer_ip(address)
            if came is self._peer or came == self._peer:
                connection = Socket(berth.family, _STREAM, 0, fd)
                connection.setblocking(False)
                return connection
            os.close(fd)
        return None  # the loop asks again when others have had their turn


class _Dice:
    """Numbers that nobody can foretell, without a system call for each."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = b""

    def below(self, count: int) -> int:
        """One of 0 ... `count` - 1, for counts up to 256."""
        if not self._numbers:
            self._numbers = os.urandom(256)
        number, self._numbers = self._numbers[0], self._numbers[1:]
        return number * count >> 8


def _listen_unless_taken(local: Ip, port: int) -> socket.socket | None:
    """A listener, or None when another worker or program has the port."""
    try:
        return _listen(local, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise


def _listen(local: Ip, port: int) -> socket.socket:
    listening = socket.socket(family_of(local), socket.SOCK_STREAM)
    try:
        # For ports that a former connection left in TIME_WAIT; two listeners on one port are refused all the same.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((str(local), port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _no_listener(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return f"The server cannot open a data connection now ({name}); try again in a moment."
