"""The JSON of control payloads: objects of one meaning only, however they are read, and never large or deep.

The one rule: what two readers could take for two things is refused: duplicate keys, fractions, NaN, integers beyond
64 bits, halves of surrogate pairs, anything that is no UTF-8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.encoder import JSONEncoder

from homeport.protocols.hptp.faults import FaultCode, ProtocolFault

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]
"""What a control payload is made of: no fractions."""

JsonObject = dict[str, Json]

MAX_CONTROL_BYTES = 64 * 1024
MAX_DEPTH = 16
_MAX_INTEGER = (1 << 63) - 1
_MIN_INTEGER = -(1 << 63)
_MAX_DIGITS = 20  # of the shortest integer that is certainly too large, with its sign

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # an unpaired quote takes the rest: never looked at twice
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_INNERMOST = re.compile(rb"\[\]|\{\}")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode(payload: bytes) -> JsonObject:
    """A control payload's object. Raises ProtocolFault (json-malformed, frame-too-long)."""
    if len(payload) > MAX_CONTROL_BYTES:
        raise ProtocolFault(FaultCode.FRAME_TOO_LONG, f"a control payload of {len(payload)} bytes")
    _check_depth(payload)
    try:
        value = _DECODER.decode(payload.decode())
        if _ESCAPED_SURROGATE.search(payload):
            _ENCODER.encode(value).encode()
    except (ValueError, RecursionError) as error:
        raise ProtocolFault(FaultCode.JSON_MALFORMED, f"no strict JSON: {error}") from error
    if not isinstance(value, dict):
        raise ProtocolFault(FaultCode.JSON_MALFORMED, "a control payload that is no JSON object")
    return value


def encode(value: Mapping[str, Json]) -> bytes:
    """A control payload of `value`, without spaces. Raises ValueError when the peer would refuse it."""
    payload = _ENCODER.encode(value).encode()
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError(f"a control payload of {len(payload)} bytes")
    return payload


def nearest(number: int) -> int:
    """What can be said in place of `number`: files may be dated where nanoseconds pass 64 bits (1677, 2262)."""
    return max(_MIN_INTEGER, min(number, _MAX_INTEGER))


def _check_depth(payload: bytes) -> None:
    """Count how often the innermost brackets can be taken away: without parsing, so that no depth costs a stack."""
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRINGS.sub(b"", payload).translate(None, _NO_BRACKET)
    for _ in range(MAX_DEPTH):
        brackets = _INNERMOST.sub(b"", brackets)
    if brackets:
        raise ProtocolFault(FaultCode.JSON_MALFORMED, f"JSON deeper than {MAX_DEPTH}, or with unpaired brackets")


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) <= _MAX_DIGITS else _MAX_INTEGER + 1
    if not _MIN_INTEGER <= value <= _MAX_INTEGER:
        raise ValueError(f"an integer of {len(digits)} digits, beyond 64 bits")
    return value


def _no_fraction(number: str) -> None:
    raise ValueError(f"a number that is no integer: {number[:_MAX_DIGITS]}")


def _object(pairs: list[tuple[str, Json]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object with a key twice")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_no_fraction, parse_constant=_no_fraction
)
_ENCODER = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
