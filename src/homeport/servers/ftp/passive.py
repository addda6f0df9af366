"""Passive data connections: the ports to listen on, and a listener that lets only the right client in.

The one rule: a listener belongs to one session and takes one connection, from the address of that session's control
connection; anybody else is closed at once and does not use it up.
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket

from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.addresses import Ip, family_of, peer_ip
from homeport.servers.ftp.data import DataRefused
from homeport.servers.readiness import Side, Waits, Woken

_BACKLOG = 8  # strangers may stand in the queue before the true client
_STRANGERS = 32  # closed in one go
_RANDOM = random.SystemRandom()  # predictable ports can be stolen


class PassivePorts:
    """Where listeners come from: a random free port of the allowed ones, or any when none are named."""

    def __init__(self, ports: tuple[int, ...], deadlines: Deadlines, accept_timeout_s: float) -> None:
        self._free = list(ports)
        self._any = not ports
        self.deadlines = deadlines
        self.accept_timeout_s = accept_timeout_s

    def open(self, local: Ip, peer: Ip) -> PassiveListener:
        """A listener on `local` for `peer` alone. Raises DataRefused when no port is free."""
        try:
            if self._any:
                return self._listener(_listen(local, 0), None, peer)
            for untried in range(len(self._free), 0, -1):
                index = _RANDOM.randrange(untried)
                self._free[index], self._free[untried - 1] = self._free[untried - 1], self._free[index]
                listening = _listen_unless_taken(local, self._free[untried - 1])
                if listening is not None:
                    return self._listener(listening, self._free.pop(untried - 1), peer)
        except OSError as error:
            raise DataRefused(_no_listener(error)) from error
        raise DataRefused("No passive port is free; try again in a moment, or use PORT or EPRT.")

    def give_back(self, port: int | None) -> None:
        """The port's listener is closed. For PassiveListener alone."""
        if port is not None:
            self._free.append(port)

    def _listener(self, listening: socket.socket, port: int | None, peer: Ip) -> PassiveListener:
        return PassiveListener(self, listening, port, peer)


class PassiveListener:
    """One announced port. Closes itself when nobody has come within the accept time-out."""

    def __init__(self, ports: PassivePorts, listening: socket.socket, borrowed: int | None, peer: Ip) -> None:
        self._ports = ports
        self._listening: socket.socket | None = listening
        self._borrowed = borrowed
        self._peer = peer
        self._unused = ports.deadlines.new(self.close)
        self._unused.set(ports.accept_timeout_s)
        self.port: int = listening.getsockname()[1]

    @property
    def is_open(self) -> bool:
        return self._listening is not None

    async def connect(self, waits: Waits) -> socket.socket:
        """The client's connection, at once when it is there already. Raises DataRefused; closes itself in any case."""
        self._unused.clear()
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._ports.accept_timeout_s
        try:
            while self._listening is not None:
                if (connection := self._accept_one(self._listening)) is not None:
                    return connection
                left = give_up_at - loop.time()
                if await waits.ready(self._listening.fileno(), Side.READ, left) is not Woken.READY:
                    break
            raise DataRefused("The data connection did not come in time; is the passive port open in your firewall?")
        finally:
            self.close()

    def close(self) -> None:
        """Listen no more; the port is free again. Works twice."""
        self._unused.discard()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
            self._ports.give_back(self._borrowed)

    def _accept_one(self, listening: socket.socket) -> socket.socket | None:
        for _ in range(_STRANGERS):
            try:
                connection, address = listening.accept()
            except BlockingIOError:
                return None
            except ConnectionAbortedError:
                continue  # gone again before it was accepted
            except OSError as error:
                raise DataRefused(_no_listener(error)) from error
            if peer_ip(address) == self._peer:
                connection.setblocking(False)
                return connection
            connection.close()
        return None  # the loop asks again when others have had their turn


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
