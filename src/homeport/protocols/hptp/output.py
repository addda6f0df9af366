"""What waits to be sent, in order; payloads of files are never copied or joined here."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.protocols.hptp import strict_json
from homeport.protocols.hptp.frames import HEADER, HEADER_BYTES, FrameType
from homeport.protocols.hptp.strict_json import Json

Buffer = bytes | memoryview

_SMALL_BYTES = 2048  # cheaper to copy behind the header than to carry as a buffer of its own


class Output:
    """Frames that wait. `size`: their bytes; `reflexes`: those that only the peer's own frames have caused."""

    __slots__ = ("_buffers", "reflexes", "size")

    def __init__(self) -> None:
        self._buffers: list[Buffer] = []
        self.size = 0
        self.reflexes = 0

    def put(self, kind: FrameType, stream: int, payload: Buffer, *, reflex: bool = False) -> None:
        """Queue a frame; `payload` must not change until it is sent."""
        length = len(payload)
        head = HEADER.pack(length, kind, 0, 0, stream)
        if length <= _SMALL_BYTES:
            self._buffers.append(head + payload)
        else:
            self._buffers.append(head)
            self._buffers.append(payload)
        self.size += HEADER_BYTES + length
        if reflex:
            self.reflexes += HEADER_BYTES + length

    def put_json(self, kind: FrameType, stream: int, value: Mapping[str, Json], *, reflex: bool = False) -> None:
        """Queue a control frame. Raises ValueError when `value` is no strict JSON, or too large."""
        self.put(kind, stream, strict_json.encode(value), reflex=reflex)

    def take(self) -> list[Buffer]:
        buffers = self._buffers
        self._buffers = []
        self.size = self.reflexes = 0
        return buffers
