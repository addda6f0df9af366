"""TLS on the way between a transport and an engine: bytes in large pieces, and how a connection ends is never guessed.

The one rule: what is handed out is in a buffer of its own as long as anybody looks at it, for an upload's bytes wait in
it until a thread has written them; what is handed in is encrypted before `send` returns, and may be used again.
"""

from __future__ import annotations

import contextlib
import enum
import ssl
from collections.abc import Iterable
from typing import Any, cast

from homeport.protocols.hptp.records import in_records
from homeport.protocols.rooms import Rooms
from homeport.servers.hptp.front import ALPN

Buffer = bytes | memoryview

_RECORD_BYTES = 16 * 1024  # the most that OpenSSL hands out at once
_NOTHING = memoryview(b"")


class WireState(enum.Enum):
    """Where TLS stands. `CLOSED` is a clean close_notify, `CUT` an end without one, `FAILED` an error."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"
    CUT = "cut"
    FAILED = "failed"


class Wire:
    """The server's side of one TLS connection, without a socket."""

    __slots__ = ("_incoming", "_object", "_outgoing", "_rooms", "failure", "state")

    def __init__(self, context: ssl.SSLContext, rooms: Rooms) -> None:
        self._rooms = rooms
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.state = WireState.HANDSHAKE
        self.failure = ""

    @property
    def version(self) -> str | None:
        """Such as `TLSv1.3`; None before the handshake is done."""
        return self._object.version() if self.state is WireState.OPEN else None

    def receive(self, data: memoryview) -> memoryview:
        """Take `data` from the socket; the clear bytes in it. Never raises: see `state` and `failure`."""
        self._incoming.write(data)
        if self.state is WireState.HANDSHAKE:
            self._shake_hands()
        return self._read(len(data)) if self.state is WireState.OPEN else _NOTHING

    def receive_eof(self) -> None:
        """The socket has ended."""
        if self.state in (WireState.HANDSHAKE, WireState.OPEN):
            self._fail("the connection ended without close_notify", WireState.CUT)

    def send(self, buffers: Iterable[Buffer]) -> bytes:
        """Encrypt `buffers`; what is to be written to the socket now, with whatever TLS itself has to say."""
        if self.state is WireState.OPEN:
            try:
                for buffer in in_records(buffers):
                    self._object.write(buffer)
            except ssl.SSLError as error:
                self._fail(_reason(error), WireState.FAILED)
        return self._outgoing.read()

    def close(self) -> bytes:
        """Say that nothing follows; what is to be written to the socket."""
        if self.state in (WireState.OPEN, WireState.CLOSED):
            with contextlib.suppress(ssl.SSLError):  # it wants to read the peer's, for which nobody waits
                self._object.unwrap()
        return self._outgoing.read()

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except (ssl.SSLError, ValueError) as error:
            self._fail(_reason(error), WireState.FAILED)
            return
        if self._object.selected_alpn_protocol() != ALPN:  # OpenSSL lets a client pass that offers none
            self._fail(f"the client does not offer {ALPN}", WireState.FAILED)
            return
        self.state = WireState.OPEN

    def _read(self, most: int) -> memoryview:
        """All clear bytes that are there, which are never more than those that came (`most`) and one record."""
        size = most + _RECORD_BYTES + 1
        is_large = self._rooms.size // 2 < size <= self._rooms.size
        clear = memoryview(self._rooms.take() if is_large else bytearray(size))
        end = 0
        try:
            while count := self._read_into(clear[end:]):
                end += count
            self.state = WireState.CLOSED
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.state = WireState.CLOSED
        except ssl.SSLError as error:
            self._fail(_reason(error), WireState.FAILED)
        return clear[:end]

    def _read_into(self, room: memoryview) -> int:
        count: Any = self._object.read(_RECORD_BYTES, cast(bytearray, room))  # any buffer will do
        return int(count)

    def _fail(self, reason: str, state: WireState) -> None:
        self.state = state
        self.failure = reason


def _reason(error: Exception) -> str:
    """The error's reason in lower case words, without OpenSSL's file names."""
    reason = getattr(error, "reason", None) or str(error)
    return str(reason).replace("_", " ").lower()
