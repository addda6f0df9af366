"""What a peer can do wrong to a whole connection, each with the code that our GOAWAY carries.

The one rule: a fault ends the connection; what concerns one request only is an ERROR on its stream instead.
"""

from __future__ import annotations

import enum


class FaultCode(enum.Enum):
    """The codes of GOAWAY, as docs/hptp.md lists them."""

    FRAME_TOO_LONG = "frame-too-long"
    FRAME_MALFORMED = "frame-malformed"
    FRAME_UNKNOWN = "frame-unknown"
    FRAME_UNEXPECTED = "frame-unexpected"
    JSON_MALFORMED = "json-malformed"
    HELLO_MALFORMED = "hello-malformed"
    VERSION_UNKNOWN = "version-unknown"
    STREAM_MALFORMED = "stream-malformed"
    STREAMS_TOO_MANY = "streams-too-many"
    WINDOW_MALFORMED = "window-malformed"
    WINDOW_OVERRUN = "window-overrun"
    CONNECTION_CUT = "connection-cut"


class ProtocolFault(Exception):
    """The peer broke the protocol: `code` for the wire, `text` for people."""

    def __init__(self, code: FaultCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.text} ({self.code.value})"


class Misuse(RuntimeError):
    """The program called the engine at a moment, or with values, that the protocol does not allow."""
