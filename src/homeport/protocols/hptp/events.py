"""What the engine tells its owner. Which of them a role can get, docs/hptp.md says frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.protocols.hptp.faults import FaultCode
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.strict_json import JsonObject


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """The peer's limits; the engine keeps to them by itself."""

    limits: Limits


@dataclass(frozen=True, slots=True)
class AuthReceived:
    message: JsonObject


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """To be answered by exactly one RESULT or ERROR, also after a CancelReceived."""

    stream: int
    op: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class HeadReceived:
    stream: int
    head: JsonObject


@dataclass(frozen=True, slots=True)
class ItemsReceived:
    stream: int
    items: list[JsonObject]


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes of a body; `Connection.consumed` gives the credit back when they have found their place."""

    stream: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class EndReceived:
    """The peer's body is complete."""

    stream: int
    trailer: JsonObject


@dataclass(frozen=True, slots=True)
class ResultReceived:
    """The stream is over: it went well."""

    stream: int
    result: JsonObject


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The stream is over: `code` is one of docs/hptp.md's, `message` for people."""

    stream: int
    code: str
    message: str
    details: JsonObject


@dataclass(frozen=True, slots=True)
class CancelReceived:
    """The client has lost interest, or broke the rules of this stream; no more of its body comes."""

    stream: int
    reason: str


@dataclass(frozen=True, slots=True)
class CreditGranted:
    """`Connection.credit` has grown, of one stream, or of all when `stream` is 0."""

    stream: int


@dataclass(frozen=True, slots=True)
class PongReceived:
    payload: bytes


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The peer takes no new requests; those up to `last_stream` are still answered unless the connection ends."""

    code: str
    message: str
    last_stream: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection is over by the peer's fault, or was cut. What take_output gives is to be sent before closing."""

    code: FaultCode
    text: str


Event = (
    HelloReceived
    | AuthReceived
    | RequestReceived
    | HeadReceived
    | ItemsReceived
    | DataReceived
    | EndReceived
    | ResultReceived
    | ErrorReceived
    | CancelReceived
    | CreditGranted
    | PongReceived
    | GoingAway
    | Broken
)
