"""Ports that all workers share. One rule: the master learns which port it is and that nobody else has it, and keeps
it while it lives; it never listens, so no connection ever waits on a socket that nobody serves. A UDP port cannot be
kept so, for whoever is bound to it gets datagrams: there the master only learns the number.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace

from homeport.config.listening import Listening
from homeport.daemon.errors import StartFailed

_log = logging.getLogger(__name__)

_TRIES = 50  # for one free port on all addresses at once
_POLL_S = 0.05
_ABSENT = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})  # a machine without IPv6
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class ReservedPorts:
    """The sockets that keep the ports; close them when the workers are gone."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self.ports: dict[str, int] = {}
        self._given: set[tuple[str, int]] = set()

    def reserve(
        self,
        wishes: Iterable[Listening],
        *,
        patience_s: float = 2.0,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> dict[str, int]:
        """The real port of each wish. Waits up to `patience_s` for workers of a killed server to let go of theirs.

        A port that nobody named moves to a free one when it is taken. Raises StartFailed when a named one is.
        """
        deadline = now() + patience_s
        # What is kept here is not listening, so the kernel would give it to another of our own.
        for wish in sorted(wishes, key=lambda wish: wish.may_move):  # or one that moves might take what is named
            while self._is_ours(wish) or not self._reserve(wish):
                if now() < deadline:
                    sleep(_POLL_S)
                elif wish.may_move:
                    self._move(wish)
                    break
                else:
                    raise StartFailed(_taken(wish))
        return self.ports

    def _is_ours(self, wish: Listening) -> bool:
        return wish.may_move and (wish.transport, wish.port) in self._given

    def _move(self, wish: Listening) -> None:
        anywhere = replace(wish, port=0)
        if not self._reserve(anywhere):
            raise StartFailed(_taken(anywhere))
        moved = self.ports[wish.key]
        _log.warning(
            "port %d is taken, so %s is %d this time; name one in the settings to have it or no start",
            *(wish.port, wish.key, moved),
        )

    def close(self) -> None:
        """Let go of every port."""
        self._held.close()

    def _reserve(self, wish: Listening) -> bool:
        if not wish.hosts:
            self.ports[wish.key] = wish.port
            return True
        for _ in range(1 if wish.port else _TRIES):
            with ExitStack() as attempt:
                port = _bind_all(wish, attempt)
                if port is not None:
                    if wish.transport == "tcp":
                        self._held.push(attempt.pop_all())
                    self.ports[wish.key] = port
                    self._given.add((wish.transport, port))
                    return True
        return False


def _bind_all(wish: Listening, attempt: ExitStack) -> int | None:
    """One port on all of the wish's hosts; None when one of them has it taken."""
    port = wish.port
    for host in wish.hosts:
        try:
            if port:
                _probe(wish, host, port)
            holder = attempt.enter_context(_socket(wish, host, port, share=True))
        except OSError as error:
            if error.errno in _ABSENT and host in _WILDCARDS:
                continue
            if error.errno == errno.EADDRINUSE:
                return None
            raise StartFailed(f"{wish.key} cannot listen on {host} port {port}: {error.strerror}") from error
        port = holder.getsockname()[1]
    return port or None


def _probe(wish: Listening, host: str, port: int) -> None:
    """Raises OSError when somebody listens there, even one who would share the port."""
    _socket(wish, host, port, share=False).close()


def _socket(wish: Listening, host: str, port: int, *, share: bool) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if wish.transport == "tcp" else socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if wish.transport == "tcp":  # with UDP it would share the port with anybody
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made


def _taken(wish: Listening) -> str:
    if not wish.port:
        return f"no port is free on all of {', '.join(wish.hosts)} for {wish.key}; close what uses them"
    advice = f"stop what uses it, or --set {wish.key}=0 for any free one"
    return f"port {wish.port} is taken, and {wish.key} asks for it; {advice}"
