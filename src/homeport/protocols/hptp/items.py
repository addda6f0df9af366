"""Entries of listings, trees and events in ITEMS frames: as many in each as a control payload takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from homeport.protocols.hptp import strict_json
from homeport.protocols.hptp.faults import FaultCode, ProtocolFault
from homeport.protocols.hptp.strict_json import MAX_CONTROL_BYTES, Json, JsonObject

_BEFORE, _AFTER = b'{"items":[', b"]}"


def frames_of_items(items: Iterable[Mapping[str, Json]]) -> Iterator[bytes]:
    """The payloads for `items`. Raises ValueError for one that is no strict JSON, or too large for a frame."""
    waiting: list[bytes] = []
    size = most = MAX_CONTROL_BYTES - len(_BEFORE) - len(_AFTER)
    for item in items:
        encoded = strict_json.encode(item)
        if len(encoded) > most:
            raise ValueError(f"an item of {len(encoded)} bytes")
        if waiting and len(encoded) + 1 > size:
            yield _BEFORE + b",".join(waiting) + _AFTER
            waiting.clear()
            size = most
        waiting.append(encoded)
        size -= len(encoded) + 1
    if waiting:
        yield _BEFORE + b",".join(waiting) + _AFTER


def items_of(payload: JsonObject) -> list[JsonObject]:
    """The entries of an ITEMS frame. Raises ProtocolFault."""
    items = payload.get("items")
    if not isinstance(items, list):
        raise ProtocolFault(FaultCode.JSON_MALFORMED, "ITEMS without a list of `items`")
    objects = [item for item in items if isinstance(item, dict)]
    if len(objects) != len(items):
        raise ProtocolFault(FaultCode.JSON_MALFORMED, "ITEMS with an item that is no object")
    return objects
