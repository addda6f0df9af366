"""Both roles against docs/hptp-vectors.json: what a stranger's implementation is held to, ours is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
from tests.protocols.hptp.vectors import SMALL, VECTORS, sent

from homeport.protocols.hptp import names, strict_json
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import (
    AuthReceived,
    Broken,
    CancelReceived,
    DataReceived,
    EndReceived,
    ErrorReceived,
    Event,
    GoingAway,
    HeadReceived,
    HelloReceived,
    ItemsReceived,
    PongReceived,
    RequestReceived,
    ResultReceived,
)
from homeport.protocols.hptp.faults import FaultCode, ProtocolFault
from homeport.protocols.hptp.frames import FrameReader, FrameType
from homeport.protocols.hptp.limits import read_hello
from homeport.protocols.hptp.output import Output
from homeport.protocols.hptp.states import Role

Vector = dict[str, Any]


def by(key: str) -> Any:
    return lambda vector: str(vector.get(key))[:60]


def payload_of(vector: Vector) -> bytes:
    if "payload" in vector:
        return strict_json.encode(vector["payload"])
    return bytes.fromhex(vector["payload_hex"])


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=by("type"))
def test_a_frame_is_written_and_read(vector: Vector) -> None:
    kind, stream, wire = FrameType[vector["type"]], vector["stream"], bytes.fromhex(vector["hex"])
    output = Output()
    output.put(kind, stream, payload_of(vector))
    assert kind.value == vector["number"]
    assert b"".join(output.take()) == wire
    for step in (len(wire), 1, 5):
        reader = FrameReader(1 << 20)
        read = [
            (which, number, bytes(piece))
            for at in range(0, len(wire), step)
            for which, number, piece in reader.read(wire[at : at + step])
        ]
        assert {(which, number) for which, number, _ in read} == {(kind, stream)}
        assert b"".join(piece for *_, piece in read) == payload_of(vector)
        assert kind is FrameType.DATA or len(read) == 1
        assert not reader.in_frame


def test_a_thousand_frames_in_one_segment() -> None:
    wire = b"".join(bytes.fromhex(vector["hex"]) for vector in VECTORS["frames"]) * 100
    assert sum(1 for _ in FrameReader(1 << 20).read(wire)) == 100 * len(VECTORS["frames"])


@pytest.mark.parametrize("vector", VECTORS["frames_refused"], ids=by("why"))
def test_a_frame_is_refused_by_its_header_alone(vector: Vector) -> None:
    wire = bytes.fromhex(vector["hex"])
    assert len(wire) == 12
    with pytest.raises(ProtocolFault) as caught:
        list(FrameReader(1 << 20).read(wire))
    assert caught.value.code.value == vector["code"]
    assert str(caught.value).endswith(f"({vector['code']})")


@pytest.mark.parametrize("vector", VECTORS["json_accepted"], ids=by("text"))
def test_strict_json_is_read(vector: Vector) -> None:
    assert strict_json.decode(bytes.fromhex(vector["hex"])) == vector["value"]
    assert strict_json.decode(strict_json.encode(vector["value"])) == vector["value"]


@pytest.mark.parametrize("vector", VECTORS["json_refused"], ids=by("why"))
def test_other_json_is_refused(vector: Vector) -> None:
    with pytest.raises(ProtocolFault) as caught:
        strict_json.decode(bytes.fromhex(vector["hex"]))
    assert caught.value.code is FaultCode.JSON_MALFORMED


@pytest.mark.parametrize("vector", VECTORS["json_refused_large"], ids=by("why"))
def test_json_that_costs_more_to_read_than_to_write_is_refused(vector: Vector) -> None:
    with pytest.raises(ProtocolFault) as caught:
        strict_json.decode((vector["before"] + vector["fill"] * vector["count"] + vector["after"]).encode())
    assert caught.value.code is FaultCode.JSON_MALFORMED


@pytest.mark.parametrize("vector", VECTORS["names"], ids=by("wire"))
def test_a_name_has_one_form(vector: Vector) -> None:
    name = bytes.fromhex(vector["bytes_hex"]).decode(errors="surrogateescape")
    assert names.to_wire(name) == vector["wire"]
    assert names.from_wire(vector["wire"]) == name


@pytest.mark.parametrize("vector", VECTORS["names_refused"], ids=by("why"))
def test_a_name_in_another_form_is_refused(vector: Vector) -> None:
    with pytest.raises(ValueError, match="a name"):
        names.from_wire(vector["wire"])


# --- dialogues ---


def say(engine: Connection, step: Vector) -> None:
    """Make our engine say what the step says, by its public methods."""
    kind, stream, payload = FrameType[step["type"]], step["stream"], step.get("payload", {})
    if kind is FrameType.REQUEST:
        arguments = dict(payload)
        assert engine.open(arguments.pop("op"), arguments) == stream
    elif kind is FrameType.DATA:
        engine.send_data(stream, payload_of(step))
    elif kind is FrameType.ERROR:
        engine.send_error(stream, **payload)
    elif kind is FrameType.CANCEL:
        engine.cancel(stream, payload["reason"])
    elif kind is FrameType.GOAWAY:
        engine.go_away(payload["code"], payload["message"])
    elif kind is FrameType.PING:
        engine.ping(payload_of(step))
    elif kind is FrameType.ITEMS:
        engine.send_items(stream, payload["items"])
    elif kind is FrameType.AUTH:
        engine.send_auth(payload)
    elif kind not in (FrameType.HELLO, FrameType.PONG):  # these it says by itself
        {
            FrameType.END: engine.send_end,
            FrameType.HEAD: engine.send_head,
            FrameType.RESULT: engine.send_result,
        }[kind](stream, payload)


def _answered(stream: int, payload: Vector) -> Event | None:
    return None if payload["reason"] == "answered" else CancelReceived(stream, payload["reason"])


TOLD: dict[FrameType, Callable[[int, Vector], Event | None]] = {
    FrameType.HELLO: lambda _, payload: HelloReceived(read_hello(payload)),
    FrameType.AUTH: lambda _, payload: AuthReceived(payload),
    FrameType.REQUEST: lambda stream, payload: RequestReceived(stream, payload.pop("op"), payload),
    FrameType.END: EndReceived,
    FrameType.HEAD: HeadReceived,
    FrameType.ITEMS: lambda stream, payload: ItemsReceived(stream, payload["items"]),
    FrameType.RESULT: ResultReceived,
    FrameType.ERROR: lambda stream, payload: ErrorReceived(
        stream, payload.pop("code"), payload.pop("message"), payload
    ),
    FrameType.CANCEL: _answered,
    FrameType.GOAWAY: lambda _, payload: GoingAway(**payload),
    FrameType.PING: lambda _, payload: None,
}


def told(step: Vector) -> Event | None:
    """What an engine that hears the step tells its program."""
    kind, stream = FrameType[step["type"]], step["stream"]
    if kind is FrameType.DATA:
        return DataReceived(stream, memoryview(payload_of(step)))
    if kind is FrameType.PONG:
        return PongReceived(payload_of(step))
    return TOLD[kind](stream, dict(step.get("payload", {})))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("vector", VECTORS["dialogues"], ids=by("name"))
def test_a_dialogue(vector: Vector, role: Role) -> None:
    engine = Connection(role, SMALL)
    proof = 6
    for number, (who, steps) in enumerate(groupby(vector["steps"], key=lambda step: step["from"])):
        burst = list(steps)
        wire = b"".join(bytes.fromhex(step["hex"]) for step in burst)
        if who == role.value:
            for step in burst:
                if step["type"] != "CANCEL" or step["payload"]["reason"] != "answered":
                    say(engine, step)
            if number == 1 and role is Role.SERVER:  # HELLO waited from the start
                assert b"HELLO" not in wire
            assert sent(engine) == wire
        else:
            engine.receive(wire)
            assert list(engine.events()) == [event for step in burst if (event := told(step)) is not None]
        proof -= len(burst)
        if proof == 0:
            engine.authenticated()
    assert not engine.closed
    assert engine.streams == 0


# --- faults ---


def engine_after(role: Role, after: str) -> Connection:
    engine = Connection(role, SMALL)
    if after != "nothing":
        engine.receive(bytes.fromhex(VECTORS["frames"][0]["hex"]))
    if after in ("proof", "one request"):
        engine.authenticated()
    if after == "one request":
        engine.open("list", {"path": "/"})
    engine.events()
    sent(engine)
    return engine


@pytest.mark.parametrize("step", [1 << 20, 1, 13])
@pytest.mark.parametrize("vector", VECTORS["faults"], ids=by("why"))
def test_a_fault_ends_the_connection_and_says_why(vector: Vector, step: int) -> None:
    engine = engine_after(Role(vector["to"]), vector["after"])
    wire = bytes.fromhex(vector["hex"])
    for at in range(0, len(wire), step):
        engine.receive(wire[at : at + step])
    broken = engine.events()[-1]
    assert isinstance(broken, Broken)
    assert broken.code.value == vector["code"]
    assert engine.closed
    assert not engine.wants_data
    said = sent(engine)
    *_, (kind, stream, goodbye) = FrameReader(1 << 20).read(said)
    assert (kind, stream) == (FrameType.GOAWAY, 0)
    assert strict_json.decode(bytes(goodbye))["code"] == vector["code"]
    engine.receive(wire)
    assert not engine.events()
    assert not sent(engine)
