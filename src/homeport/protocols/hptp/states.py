"""What may follow what: which frames a role hears in which phase, and how the two halves of a stream go on.

The one rule: a state changes by looking the frame up here. The same tables judge what the peer sends and what we send,
so that two engines cannot disagree.
"""

from __future__ import annotations

import enum

from homeport.protocols.hptp.frames import FrameType as F


class _State(enum.Enum):
    """Members are keys of the tables below: hashed by identity, as enum's own way is ten times as slow."""

    __hash__ = object.__hash__


class Role(_State):
    CLIENT = "client"
    SERVER = "server"

    @property
    def peer(self) -> Role:
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


class Phase(_State):
    """How far a connection is."""

    GREETING = "before HELLO"
    PROVING = "before both sides have proved themselves"
    OPEN = "open"
    CLOSED = "closed"


_ALWAYS = frozenset({F.PING, F.PONG, F.GOAWAY})

# Who may send what in which phase. HELLO moves GREETING to PROVING; the program moves PROVING to OPEN.
SENDS: dict[Role, dict[Phase, frozenset[F]]] = {
    Role.CLIENT: {
        Phase.GREETING: frozenset({F.HELLO, F.GOAWAY}),
        Phase.PROVING: _ALWAYS | {F.AUTH},
        Phase.OPEN: _ALWAYS | {F.WINDOW, F.REQUEST, F.DATA, F.END, F.CANCEL},
        Phase.CLOSED: frozenset(),
    },
    Role.SERVER: {
        Phase.GREETING: frozenset({F.HELLO, F.GOAWAY}),
        Phase.PROVING: _ALWAYS | {F.AUTH},
        Phase.OPEN: _ALWAYS | {F.WINDOW, F.HEAD, F.ITEMS, F.DATA, F.RESULT, F.ERROR},
        Phase.CLOSED: frozenset(),
    },
}


class Half(_State):
    """What one side has said on a stream so far."""

    # the client's half, after REQUEST
    BODY = "a body that has not ended"
    DONE = "all that it had to say"
    CANCELLED = "that it has lost interest"
    # the server's half
    SILENT = "nothing yet"
    BYTES = "a head, and bytes after it"
    LISTING = "items"
    OVER = "its answer"


HALVES: dict[Half, dict[F, Half]] = {
    Half.BODY: {F.DATA: Half.BODY, F.END: Half.DONE, F.CANCEL: Half.CANCELLED, F.WINDOW: Half.BODY},
    Half.DONE: {F.CANCEL: Half.CANCELLED, F.WINDOW: Half.DONE},
    Half.CANCELLED: {},
    Half.SILENT: {
        F.HEAD: Half.BYTES,
        F.ITEMS: Half.LISTING,
        F.RESULT: Half.OVER,
        F.ERROR: Half.OVER,
        F.WINDOW: Half.SILENT,
    },
    Half.BYTES: {F.DATA: Half.BYTES, F.RESULT: Half.OVER, F.ERROR: Half.OVER, F.WINDOW: Half.BYTES},
    Half.LISTING: {F.ITEMS: Half.LISTING, F.RESULT: Half.OVER, F.ERROR: Half.OVER, F.WINDOW: Half.LISTING},
    Half.OVER: {F.WINDOW: Half.OVER},
}

OPS_WITH_BODY = frozenset({"put"})
"""The operations whose client sends DATA and END behind its REQUEST."""


def first_half(op: str) -> Half:
    """The client's half of a stream just after its REQUEST."""
    return Half.BODY if op in OPS_WITH_BODY else Half.DONE


# Frames that may be under way while the other side ends the stream: late ones are no fault and mean nothing.
MAY_CROSS = frozenset({F.CANCEL, F.WINDOW})
