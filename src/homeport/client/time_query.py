"""Asking a server what time it is: as text, or how far our clock is from its own. The rule: no clock is ever set."""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from homeport.client.errors import ConnectionFailed, ProtocolViolation, RemoteBusy, UsageError
from homeport.protocols import ntp

TEXT_PORT = 2123
NTP_PORT = 2124
SAMPLES = 4
_WAITS_S = (1.0, 2.0, 3.0)  # for an answer, before the question is sent again: either may be lost
_MAX_BYTES = 2048
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\s/\[\]]+)|([0-9A-Fa-f]*:[0-9A-Fa-f:.]+))(?::(\d{1,5}))?")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A host and, where one was written, a port."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def parse_place(text: str) -> Place:
    """Read `HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6 address. Raises UsageError."""
    found = _PLACE.fullmatch(text)
    port = int(found[4]) if found and found[4] else None
    if found is None or port == 0 or (port or 0) > 65535:
        raise UsageError(f"{text!r} is no host; write such as time.example.org, 192.0.2.1:2123 or [2001:db8::1]:2123")
    return Place(found[1] or found[2] or found[3], port)


def ask_text(place: Place, form: str) -> str:
    """The time at `place` in the format `form` (empty: the server's own). Raises ClientError."""
    request = form.encode("utf-8", "surrogateescape")
    answer = _first(place, TEXT_PORT, lambda asker: asker.ask(lambda: request, lambda reply, _sent, _came: reply))
    text = answer.decode("utf-8", "backslashreplace")
    if text.startswith("? "):
        raise UsageError(f"{place} refuses the format: {text[2:]}")
    return text


def measure_offset(place: Place, samples: int = SAMPLES) -> ntp.Measurement:
    """How far our clock is from the one at `place`: of some questions the one that was quickest there and back.

    Raises ClientError.
    """

    def quickest(asker: _Asker) -> ntp.Measurement | None:
        found = [sample for _ in range(samples) if (sample := _sample(asker, place)) is not None]
        return min(found, key=lambda sample: sample.delay_s, default=None)

    return _first(place, NTP_PORT, quickest)


def _sample(asker: _Asker, place: Place) -> ntp.Measurement | None:
    stamp = 0

    def ask() -> bytes:
        nonlocal stamp
        stamp = secrets.randbits(64)
        return ntp.question(stamp)

    def read(reply: bytes, sent_ns: int, came_ns: int) -> ntp.Measurement | None:
        try:
            return ntp.measure(reply, stamp, sent_ns, came_ns)
        except ntp.NtpError as error:
            if "no question of ours" in str(error):
                return None  # a late answer to an earlier question; ours may still come
            kind = RemoteBusy if "less often" in str(error) else ProtocolViolation
            raise kind(f"{place}: {error}") from error

    return asker.ask(ask, read)


def _first(place: Place, default_port: int, ask: Callable[[_Asker], T | None]) -> T:
    """The first thing that `ask` finds at an address of the host. Raises ConnectionFailed, and what `ask` raises."""
    port = place.port or default_port
    try:
        addresses = socket.getaddrinfo(place.host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionFailed(f"{place.host}: no such host ({error})") from error
    for family, kind, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.connect(address)
                found = ask(_Asker(connection))
        except OSError:
            continue  # the next address may be better
        if found is not None:
            return found
    raise ConnectionFailed(
        f"{place} does not tell the time on UDP port {port}; is it a Homeport server, and does a "
        "firewall let UDP through?"
    )


class _Asker:
    """Asks at one address, and asks again, until there is an answer or no hope."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask(self, make: Callable[[], bytes], read: Callable[[bytes, int, int], T | None]) -> T | None:
        """The first thing that `read` makes of an answer to what `make` makes; None where there is none."""
        for wait_s in _WAITS_S:
            try:
                answer = self._once(make(), read, wait_s)
            except ConnectionRefusedError:
                return None  # nobody listens there
            if answer is not None:
                return answer
        return None

    def _once(self, request: bytes, read: Callable[[bytes, int, int], T | None], wait_s: float) -> T | None:
        wall_ns, sent = time.time_ns(), time.monotonic_ns()
        self._connection.send(request)
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            self._connection.settimeout(left)
            try:
                reply = self._connection.recv(_MAX_BYTES)
            except TimeoutError:
                return None
            answer = read(reply, wall_ns, wall_ns + time.monotonic_ns() - sent)
            if answer is not None:
                return answer
        return None
