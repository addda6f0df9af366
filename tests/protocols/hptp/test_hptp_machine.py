"""Two engines under a random life: whatever both programs do in turn, nobody breaks the protocol and bytes arrive.

And arbitrary bytes into either: an event, a fault of the table, or silence, with memory that stays bounded.
"""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.protocols.hptp.test_hptp_walk import frame
from tests.protocols.hptp.vectors import SMALL, VECTORS, sent

from homeport.protocols.hptp import strict_json
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import (
    Broken,
    CancelReceived,
    DataReceived,
    EndReceived,
    ErrorReceived,
    RequestReceived,
    ResultReceived,
)
from homeport.protocols.hptp.faults import ProtocolFault
from homeport.protocols.hptp.frames import HEADER_BYTES, FrameType
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.states import Role

_PICK = st.integers(0, 1 << 16)


class TwoEngines(RuleBasedStateMachine):
    """Wires hold bytes until they are carried, in pieces of any size; each program keeps account of what it did."""

    def __init__(self) -> None:
        super().__init__()
        limits = Limits(max_payload=65536, stream_window=3000, connection_window=7000, max_streams=5)
        self.client, self.server = Connection(Role.CLIENT, limits), Connection(Role.SERVER, limits)
        self.to_server, self.to_client = bytearray(), bytearray()
        self.sent: dict[int, bytearray] = {}
        self.received: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.asked: set[int] = set()  # by the client, unanswered as far as it knows
        self.serving: dict[int, bool] = {}  # by the server: unanswered, and whether its head is out
        self.unread: list[tuple[Connection, int, int]] = []

    @initialize()
    def prove(self) -> None:
        self.client.receive(sent(self.server))
        self.server.receive(sent(self.client))
        self.client.authenticated()
        self.server.authenticated()
        self.client.events()
        self.server.events()

    @precondition(lambda self: self.client.can_open)
    @rule(op=st.sampled_from(["put", "get", "list"]))
    def ask(self, op: str) -> None:
        stream = self.client.open(op, {"path": "/x"})
        self.sent[stream], self.asked = bytearray(), self.asked | {stream}

    @rule(pick=_PICK, size=st.integers(0, 5000))
    def pour(self, pick: int, size: int) -> None:
        for engine, streams in ((self.client, self.asked), (self.server, self.serving)):
            able = sorted(stream for stream in streams if engine.credit(stream))
            if able:
                stream = able[pick % len(able)]
                data = bytes([stream % 256]) * min(size, engine.credit(stream))
                engine.send_data(stream, data)
                if engine is self.client:
                    self.sent[stream] += data

    @rule(pick=_PICK)
    def end(self, pick: int) -> None:
        bodies = sorted(stream for stream in self.asked if self.client.is_open(stream))
        if bodies:
            self.client.send_end(bodies[pick % len(bodies)], {})

    @rule(pick=_PICK)
    def cancel(self, pick: int) -> None:
        if self.asked:
            self.client.cancel(sorted(self.asked)[pick % len(self.asked)], "enough")

    @rule(pick=_PICK, how=st.sampled_from(["head", "items", "result", "error"]))
    def answer(self, pick: int, how: str) -> None:
        if not self.serving:
            return
        stream = sorted(self.serving)[pick % len(self.serving)]
        if how == "head" and not self.serving[stream]:
            self.server.send_head(stream, {})
            self.serving[stream] = True
        elif how == "result":
            del self.serving[stream]
            self.server.send_result(stream, {})
        elif how == "error":
            del self.serving[stream]
            self.server.send_error(stream, "no", "no")

    @rule(pick=_PICK)
    def read(self, pick: int) -> None:
        if self.unread:
            engine, stream, amount = self.unread.pop(pick % len(self.unread))
            engine.consumed(stream, amount)

    @rule(engine=st.booleans())
    def ping(self, engine: bool) -> None:
        (self.client if engine else self.server).ping(b"\0" * 8)

    @rule(up=st.integers(0, 9000), down=st.integers(0, 9000))
    def carry(self, up: int, down: int) -> None:
        self.to_server += sent(self.client)
        self.to_client += sent(self.server)
        self.server.receive(bytes(self.to_server[:up]))
        self.client.receive(bytes(self.to_client[:down]))
        del self.to_server[:up], self.to_client[:down]
        self._hear_at_server()
        self._hear_at_client()

    def _hear_at_server(self) -> None:
        for event in self.server.events():
            match event:
                case RequestReceived(stream):
                    self.serving[stream] = False
                    self.received[stream] = bytearray()
                case DataReceived(stream, data):
                    self.received[stream] += data
                    self.unread.append((self.server, stream, len(data)))
                case EndReceived(stream):
                    assert self.received[stream] == self.sent[stream]
                case CancelReceived(stream):
                    assert stream in self.serving
                case Broken():
                    raise AssertionError(event)

    def _hear_at_client(self) -> None:
        for event in self.client.events():
            match event:
                case DataReceived(stream, data):
                    assert bytes(data) == bytes([stream % 256]) * len(data)
                    self.unread.append((self.client, stream, len(data)))
                case ResultReceived(stream) | ErrorReceived(stream):
                    self.asked.remove(stream)  # exactly one answer
                case Broken():
                    raise AssertionError(event)

    @invariant()
    def windows_hold(self) -> None:
        for engine in (self.client, self.server):
            assert sum(amount for who, _, amount in self.unread if who is engine) <= 7000
            assert not engine.closed

    def teardown(self) -> None:
        """Everything that was begun comes to its end, and no credit was lost."""
        for _ in range(200):
            self.carry(1 << 20, 1 << 20)
            for stream in sorted(self.serving):
                self.server.send_result(stream, {})
            self.serving.clear()
            for stream in self.asked:
                if self.client.is_open(stream):
                    self.client.send_end(stream, {})
            while self.unread:
                self.read(0)
            if not self.asked and not (self.to_server or self.to_client):
                break
        self.carry(1 << 20, 1 << 20)
        assert (self.client.streams, self.server.streams, self.asked) == (0, 0, set())
        probe = self.client.open("put", {})
        assert self.client.credit(probe) >= 3000


TwoEngines.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestTwoEngines = TwoEngines.TestCase

_FRAMES = [bytes.fromhex(vector["hex"]) for vector in VECTORS["frames"]]
_NOISE = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(_FRAMES)
    | st.builds(frame, st.sampled_from(FrameType), st.integers(0, 4))
    | st.builds(lambda wire, cut: wire[:cut], st.sampled_from(_FRAMES), st.integers(0, 60)),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(Role), st.booleans(), _NOISE, st.integers(1, 64))
def test_any_bytes_are_heard_or_a_fault(role: Role, proved: bool, noise: list[bytes], step: int) -> None:
    engine = Connection(role, SMALL)
    if proved:
        engine.receive(_FRAMES[0])
        engine.authenticated()
        if role is Role.CLIENT:
            engine.open("get", {})
            engine.open("put", {})
    wire = b"".join(noise)
    for at in range(0, len(wire), step):
        engine.receive(wire[at : at + step])
    broken = [event for event in engine.events() if isinstance(event, Broken)]
    assert len(broken) == engine.closed
    assert engine.output_size < 4096 + len(wire) * (HEADER_BYTES + 1)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=80)
    | st.text(alphabet='{}[]":,\\ud8019ef-.+ \n', max_size=80).map(str.encode)
    | st.sampled_from([bytes.fromhex(vector["hex"]) for vector in VECTORS["json_refused"]])
)
def test_any_payload_is_strict_json_or_a_fault(payload: bytes) -> None:
    with suppress(ProtocolFault):
        value = strict_json.decode(payload)
        assert strict_json.decode(strict_json.encode(value)) == value
