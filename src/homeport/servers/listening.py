"""Listening sockets: made from settings such as `0.0.0.0`, `::1` or `unix:PATH`, and emptied whenever somebody knocks.

The one rule: when descriptors run out, accepting pauses and goes on later; it neither spins nor dies, and those who
knock wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeport.servers.lifecycle import Address

_log = logging.getLogger(__name__)

_AT_ONCE = 8  # connections accepted before others have their turn; one with TLS costs a millisecond
_PAUSE_S = 0.25
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
_PORT_ATTEMPTS = 20  # a port that is free for IPv4 may be taken for IPv6


@dataclass(frozen=True, slots=True)
class Wish:
    """Where one service wants to listen. `port` 0 takes any that is free on all the hosts."""

    service: str
    hosts: tuple[str, ...]
    port: int
    backlog: int = 4096
    reuse_port: bool = False


def open_all(wish: Wish) -> list[tuple[Address, socket.socket]]:
    """One listening socket for each host of `wish`, all on one port. Raises OSError and leaves nothing open."""
    return open_each(wish, _open_door)


Opener = Callable[[Wish, str, int], tuple[Address, socket.socket] | None]


def open_each(wish: Wish, opener: Opener) -> list[tuple[Address, socket.socket]]:
    """What `opener` makes of `wish`, a host of it and the port; where it makes None, this machine lacks the family.

    All get one port. Raises OSError and leaves nothing open.
    """
    for attempt in range(_PORT_ATTEMPTS):
        try:
            return _open_once(wish, opener)
        except OSError as error:
            if wish.port or error.errno != errno.EADDRINUSE or attempt == _PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _open_once(wish: Wish, opener: Opener) -> list[tuple[Address, socket.socket]]:
    opened: list[tuple[Address, socket.socket]] = []
    port = wish.port
    try:
        for host in wish.hosts:
            door = opener(wish, host, port)
            if door is not None:
                port = door[0].port or port
                opened.append(door)
    except BaseException:
        for _, made in opened:
            made.close()
        raise
    if not opened:
        raise OSError(errno.EADDRNOTAVAIL, f"none of {', '.join(wish.hosts)} can be listened on")
    return opened


def open_bound(
    host: str, port: int, kind: socket.SocketKind, prepare: Callable[[socket.socket], None]
) -> socket.socket | None:
    """A non-blocking socket of one family alone, bound after `prepare`; None for `::` on a machine without IPv6."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as undo:
        try:
            made = socket.socket(family, kind)
            undo.callback(made.close)
            made.setblocking(False)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
            prepare(made)
            made.bind((host, port))
        except OSError as error:
            if host == "::" and error.errno in _NO_SUCH_FAMILY:
                return None
            raise
        undo.pop_all()
    return made


def _open_door(wish: Wish, host: str, port: int) -> tuple[Address, socket.socket] | None:
    if host.startswith("unix:"):
        path = host.removeprefix("unix:")
        return Address(wish.service, "", 0, path), _open_unix(path, wish.backlog)
    listening = _open_tcp(host, port, wish)
    return None if listening is None else (Address(wish.service, host, listening.getsockname()[1]), listening)


def _open_tcp(host: str, port: int, wish: Wish) -> socket.socket | None:
    def prepare(listening: socket.socket) -> None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if wish.reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Inherited by every connection: replies are whole, nothing is gained by waiting for more.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    listening = open_bound(host, port, socket.SOCK_STREAM, prepare)
    if listening is not None:
        try:
            listening.listen(wish.backlog)
        except OSError:
            listening.close()
            raise
    return listening


def _open_unix(path: str, backlog: int) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        _remove_stale(path)
        listening.bind(path)
        listening.listen(backlog)
    except OSError:
        listening.close()
        raise
    return listening


def _remove_stale(path: str) -> None:
    """Remove the socket that a server which is gone has left; anything else that has the name stays."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)


class Doors:
    """All listening sockets of one server. `accepted` gets each new connection, non-blocking, and owns it."""

    def __init__(
        self,
        opened: Sequence[tuple[Address, socket.socket]],
        accepted: Callable[[socket.socket, Address], None],
    ) -> None:
        self._doors = [_Door(address, listening, accepted) for address, listening in opened]
        self.addresses = tuple(address for address, _ in opened)

    def open(self) -> None:
        """Let clients in."""
        for door in self._doors:
            door.open()

    def close(self) -> None:
        """Let nobody in any more. Works twice."""
        for door in self._doors:
            door.close()
        self._doors = []


class _Door:
    def __init__(
        self, address: Address, listening: socket.socket, accepted: Callable[[socket.socket, Address], None]
    ) -> None:
        self._address = address
        self._listening = listening
        self._accepted = accepted
        self._pause: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        self._pause = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._listening.fileno(), self._knocked)

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        if self._address.path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._address.path)

    def _knocked(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _peer = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _SCARCE:
                    self._rest(error)
                    return
                continue  # that client has gone again (ECONNABORTED and what Linux passes on from the network)
            connection.setblocking(False)
            self._accepted(connection, self._address)

    def _rest(self, error: OSError) -> None:
        _log.warning("%s: %s; new connections wait", self._address, os.strerror(error.errno or 0))
        if self._loop is not None:
            self._loop.remove_reader(self._listening.fileno())
            self._pause = self._loop.call_later(_PAUSE_S, self.open)
