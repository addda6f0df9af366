"""HPTP's engine under atheris: whatever comes, nothing is raised and nothing hoarded.

    pip install atheris; PYTHONPATH=src:. python tests/fuzz/hptp_engine.py -max_total_time=3600 corpus/

Each input is a short life of one engine: its role, how far the proof is, then frames (well formed or not), arbitrary
bytes, and what the program does in between.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

atheris: Any = importlib.import_module("atheris")  # not among the test tools: it is compiled for some Pythons only

with atheris.instrument_imports(include=["homeport.protocols"]):
    from homeport.protocols import scram
    from homeport.protocols.channel_binding import server_end_point
    from homeport.protocols.hptp.connection import Connection
    from homeport.protocols.hptp.events import Broken, CancelReceived, DataReceived, RequestReceived
    from homeport.protocols.hptp.faults import Misuse
    from homeport.protocols.hptp.frames import HEADER, FrameType
    from homeport.protocols.hptp.limits import Limits
    from homeport.protocols.hptp.names import from_wire
    from homeport.protocols.hptp.states import Role

LIMITS = Limits(software="fuzz", max_payload=65536, stream_window=4096, connection_window=8192, max_streams=4)
HELLO = b"".join(Connection(Role.CLIENT, LIMITS).take_output())
KINDS = list(FrameType)
PAYLOADS = [
    b"{}",
    b'{"op":"put","path":"/a"}',
    b'{"op":"get"}',
    b'{"reason":""}',
    b'{"code":"x","message":"y","last_stream":1}',
    b'{"items":[{}]}',
    b"\0\0\x10\0",
    b"12345678",
]
READERS: list[Callable[[str], Any]] = [
    scram.ClientFirst.read,
    scram.ServerFirst.read,
    scram.ClientFinal.read,
    scram.ServerFinal.read,
]


def frame(given: Any) -> bytes:
    """A frame whose header is honest more often than not."""
    kind = given.PickValueInList(KINDS)
    payload = (
        given.PickValueInList(PAYLOADS) if given.ConsumeBool() else given.ConsumeBytes(given.ConsumeIntInRange(0, 60))
    )
    length = len(payload) if given.ConsumeProbability() < 0.9 else given.ConsumeIntInRange(0, 2**32 - 1)
    stream = (
        given.ConsumeIntInRange(0, 6) if given.ConsumeProbability() < 0.95 else given.ConsumeIntInRange(0, 2**32 - 1)
    )
    wire: bytes = HEADER.pack(length, kind, 0, 0, stream) + payload
    return wire


ACTS: list[Callable[[Connection, Any], object]] = [
    lambda engine, given: engine.open(given.PickValueInList(["put", "get", "list"]), {}),
    lambda engine, given: engine.send_head(given.ConsumeIntInRange(0, 6), {}),
    lambda engine, given: engine.send_items(given.ConsumeIntInRange(0, 6), [{}]),
    lambda engine, given: engine.send_data(given.ConsumeIntInRange(0, 6), b"x" * given.ConsumeIntInRange(0, 5000)),
    lambda engine, given: engine.send_end(given.ConsumeIntInRange(0, 6), {}),
    lambda engine, given: engine.send_result(given.ConsumeIntInRange(0, 6), {}),
    lambda engine, given: engine.send_error(given.ConsumeIntInRange(0, 6), "x", "y"),
    lambda engine, given: engine.cancel(given.ConsumeIntInRange(0, 6), "x"),
    lambda engine, given: engine.ping(b"12345678"),
    lambda engine, given: engine.go_away("x", "y"),
    lambda engine, given: engine.receive_eof(),
]


class Life:
    """One engine with the account that is kept of it."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.engine = Connection(given.PickValueInList(list(Role)), LIMITS)
        self.unread: list[DataReceived] = []
        self.open: set[int] = set()
        self.heard = 0
        self.broken = 0
        if given.ConsumeProbability() < 0.8:
            self.receive(HELLO)
            self.engine.authenticated()

    def receive(self, wire: bytes) -> None:
        step = self.given.ConsumeIntInRange(1, 64) if self.given.ConsumeBool() else len(wire) or 1
        for at in range(0, len(wire), step):
            self.engine.receive(wire[at : at + step])
        self.heard += len(wire)
        self.hear()

    def hear(self) -> None:
        for event in self.engine.events():
            if isinstance(event, DataReceived):
                self.unread.append(event)
            elif isinstance(event, RequestReceived):
                assert event.stream not in self.open, "one request for each stream"
                self.open.add(event.stream)
            elif isinstance(event, CancelReceived):
                assert event.stream in self.open, "nothing is cancelled that was not asked"
            elif isinstance(event, Broken):
                self.broken += 1

    def step(self) -> None:
        given = self.given
        choice = given.ConsumeIntInRange(0, 9)
        if choice < 5:
            self.receive(frame(given))
        elif choice == 5:
            self.receive(given.ConsumeBytes(given.ConsumeIntInRange(0, 40)))
        elif choice == 6 and self.unread:
            event = self.unread.pop()
            self.engine.consumed(event.stream, len(event.data))
        elif choice == 7:
            self.engine.take_output()
        else:
            with suppress(Misuse):
                given.PickValueInList(ACTS)(self.engine, given)
            self.hear()
        self.check()

    def check(self) -> None:
        assert self.broken == self.engine.closed
        assert self.engine.streams <= LIMITS.max_streams or self.engine.role is Role.CLIENT
        assert sum(len(event.data) for event in self.unread) <= LIMITS.connection_window
        assert not self.engine.closed or not self.engine.wants_data


def test_one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    if given.ConsumeProbability() < 0.1:
        with suppress(scram.ScramMalformed):
            given.PickValueInList(READERS)(given.ConsumeUnicodeNoSurrogates(200))
        with suppress(ValueError):
            server_end_point(given.ConsumeBytes(100))
        with suppress(ValueError):
            from_wire({"b": given.ConsumeUnicodeNoSurrogates(20)})
        return
    life = Life(given)
    while given.remaining_bytes() and not life.engine.closed:
        life.step()


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
