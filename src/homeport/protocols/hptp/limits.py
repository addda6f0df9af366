"""What one side announces in HELLO: how much it takes at once. Both sides keep to the other's."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.protocols.hptp.faults import FaultCode, ProtocolFault
from homeport.protocols.hptp.frames import MAX_PAYLOAD_BYTES
from homeport.protocols.hptp.strict_json import Json, JsonObject

VERSION = 1
MAX_WINDOW = (1 << 31) - 1
_MIN_PAYLOAD = 64 * 1024
_MAX_SOFTWARE = 200  # characters

_RANGES = {
    "max_payload": (_MIN_PAYLOAD, MAX_PAYLOAD_BYTES),
    "stream_window": (0, MAX_WINDOW),
    "connection_window": (0, MAX_WINDOW),
    "max_streams": (0, MAX_WINDOW),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes of DATA in one frame, on a stream and on the connection unread; requests unanswered at once."""

    software: str = "homeport"
    max_payload: int = MAX_PAYLOAD_BYTES
    stream_window: int = 8 * 1024 * 1024
    connection_window: int = 32 * 1024 * 1024
    max_streams: int = 1024

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}")

    def hello(self) -> JsonObject:
        """The payload of our HELLO."""
        return {"hptp": VERSION, "software": self.software, **{name: getattr(self, name) for name in _RANGES}}


def read_hello(said: JsonObject) -> Limits:
    """The peer's limits; what HELLO has beyond them is left to later versions. Raises ProtocolFault."""
    if said.get("hptp") != VERSION or said.get("hptp") is True:
        raise ProtocolFault(FaultCode.VERSION_UNKNOWN, f"HPTP version {VERSION} is spoken here")
    software = said.get("software")
    if not isinstance(software, str) or len(software) > _MAX_SOFTWARE:
        raise ProtocolFault(FaultCode.HELLO_MALFORMED, "HELLO without a short text in `software`")
    return Limits(software=software, **{name: _number(name, said.get(name)) for name in _RANGES})


def _number(name: str, value: Json) -> int:
    least, most = _RANGES[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ProtocolFault(FaultCode.HELLO_MALFORMED, f"HELLO without `{name}` from {least} to {most}")
    return value
