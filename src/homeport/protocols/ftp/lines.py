"""Bytes of the control connection -> command lines, with Telnet's own bytes taken out (RFC 959 section 4.1.3, RFC 854).

The one rule: memory is bounded. A line longer than the limit is a fault that ends the reading, never a buffer that
grows.
"""

from __future__ import annotations

import enum

IAC = 0xFF
_SUBNEGOTIATION, _SUBNEGOTIATION_END = 0xFA, 0xF0
_OPTIONS = range(0xFB, 0xFF)  # WILL WONT DO DONT, each followed by one byte
_COMMANDS = range(0xF0, 0xFA)  # IP, DM, ... alone
_STRAYS = bytes(range(0xF0, 0x100))  # what is left of a Synch whose urgent byte went another way
_PIECE = 1024
_TLS_HANDSHAKE = b"\x16"  # how a ClientHello begins, and no command


class Fault(enum.Enum):
    """What can be wrong with a line as a line."""

    CONTROL = "a NUL or a bare CR in a line"
    TOO_LONG = "a line longer than the limit"
    TLS_HELLO = "a TLS handshake on a connection that speaks plain FTP"


class Telnet:
    """Takes Telnet commands out of a stream that may be cut anywhere; a doubled IAC becomes one byte of data.

    `pending`: IAC, IAC option, or IAC SB [IAC] so far: at most three bytes. Without it, and without an IAC in what
    comes, there is nothing to strip.
    """

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending = b""

    def strip(self, data: bytes) -> bytes:
        """`data` without Telnet commands. Options are ignored, which refuses them."""
        kept = bytearray()
        for byte in data:
            if self.pending:
                self._after_iac(byte, kept)
            elif byte == IAC:
                self.pending = b"\xff"
            else:
                kept.append(byte)
        return bytes(kept)

    def _after_iac(self, byte: int, kept: bytearray) -> None:
        if len(self.pending) == 1:
            self.pending = b""
            if byte == IAC:
                kept.append(IAC)
            elif byte in _OPTIONS or byte == _SUBNEGOTIATION:
                self.pending = bytes((IAC, byte))
            elif byte not in _COMMANDS:
                kept += bytes((IAC, byte))  # an old charset's letter, sent by a client that does not double it
        elif self.pending[1] != _SUBNEGOTIATION:
            self.pending = b""  # the option's number
        elif self.pending[-1] == IAC:
            self.pending = b"" if byte == _SUBNEGOTIATION_END else self.pending[:2]
        elif byte == IAC:
            self.pending += b"\xff"


class LineReader:
    """Collects bytes and hands out one line at a time, without its end (CRLF, or LF alone).

    `waiting`: whether `take` may have something; false once it has said None, until more comes.
    """

    __slots__ = ("_buffer", "_fault", "_max", "_plain", "_start", "_stripped", "_telnet", "waiting")

    def __init__(self, max_line_bytes: int, *, plain: bool) -> None:
        """`plain`: the connection begins without TLS; a ClientHello there is the wrong protocol."""
        self._max = max_line_bytes
        self._plain = plain
        self._telnet = Telnet()
        self._stripped = 0  # bytes of Telnet in the line that comes
        self._buffer = b""
        self._start = 0  # of what is not handed out yet
        self.waiting = False
        self._fault: Fault | None = None

    def __len__(self) -> int:
        """Bytes waiting."""
        return len(self._buffer) - self._start

    def receive(self, data: bytes) -> None:
        """Add what came; ignored after a fault that ends the reading."""
        if self._fault is None:
            if self._telnet.pending or IAC in data:
                data = self._strip(data)
            elif self._stripped and b"\n" in data:
                self._stripped = 0
            self._buffer = self._buffer[self._start :] + data if self._buffer else data
            self._start = 0
            self.waiting = True

    def _strip(self, data: bytes) -> bytes:
        """`data` without Telnet commands, up to where there are too many of them: they count as part of the line."""
        pieces: list[bytes] = []
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            clear = self._telnet.strip(piece)
            pieces.append(clear)
            self._stripped = 0 if b"\n" in clear else self._stripped + len(piece) - len(clear)
            if self._stripped > self._max:
                # A stream of nothing else would cost time without end, and never be a line that is too long.
                pieces.append(b" " * (self._max + 2))
                break
        return b"".join(pieces)

    def clear(self) -> None:
        """Forget what waits."""
        self._buffer = b""
        self._start = 0
        self.waiting = False

    def take(self) -> bytes | Fault | None:
        """The next line, the fault in its place, or None when no whole line waits."""
        if self._fault is not None:
            return self._fault
        buffer, start = self._buffer, self._start
        if self._plain and buffer.startswith(_TLS_HANDSHAKE):
            return self._fail(Fault.TLS_HELLO)
        end = buffer.find(b"\n", start)
        if end < 0:
            return self._wait()
        line = buffer[start:end].removesuffix(b"\r")
        if end + 1 == len(buffer):  # as `clear`, without the call
            self._buffer, self._start, self.waiting = b"", 0, False
        else:
            self._start = end + 1
        self._plain = False  # who has said a line does not begin with a ClientHello
        if len(line) > self._max:
            return self._fail(Fault.TOO_LONG)
        if not line.isascii():
            line = line.lstrip(_STRAYS)
        return Fault.CONTROL if b"\0" in line or b"\r" in line else line

    def _wait(self) -> Fault | None:
        """No whole line is here: keep the part of one, unless it is too long already."""
        self._buffer = self._buffer[self._start :]
        self._start = 0
        self.waiting = False
        # One byte more than the limit may be the CR of an end that is still on its way.
        return self._fail(Fault.TOO_LONG) if len(self._buffer) > self._max + 1 else None

    def _fail(self, fault: Fault) -> Fault:
        self.clear()
        self._fault = fault
        self.waiting = True  # it is said again each time
        return fault
