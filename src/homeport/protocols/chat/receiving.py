"""The receiving half of a session: parts in any order and any number of times in, whole messages in order out.

The one rule: a message comes out once, after all that were sent before it; what is kept for later is bounded.
"""

from __future__ import annotations

from homeport.protocols.chat.frames import ACK_REACH, Ack, BadDatagram, Segment


class Receiving:
    """`max_bytes` is the longest message that is put together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._next_one = 0
        self._early: dict[int, Segment] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._messages: list[bytes] = []

    def take(self, segment: Segment) -> bool:
        """A part has come; whether all is well: it was the next one, and none that came early has waited for it.

        Raises BadDatagram for a message that is too long, or that would never come to an end.
        """
        is_well = segment.number == self._next_one and not self._early
        if segment.number >= self._next_one and segment.number <= self._next_one + ACK_REACH:
            self._early.setdefault(segment.number, segment)
            while (ready := self._early.pop(self._next_one, None)) is not None:
                self._next_one += 1
                self._join(ready)
        return is_well

    def messages(self) -> list[bytes]:
        """The messages that have become whole since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def ack(self) -> Ack:
        """What has come so far."""
        others = 0
        for number in self._early:
            others |= 1 << number - self._next_one - 1
        return Ack(self._next_one, others)

    def _join(self, part: Segment) -> None:
        if not part.data and not part.is_last:
            raise BadDatagram("a part of a message with nothing in it")
        self._parts.append(part.data)
        self._size += len(part.data)
        if self._size > self._max_bytes:
            raise BadDatagram(f"a message is longer than {self._max_bytes} bytes")
        if part.is_last:
            self._messages.append(b"".join(self._parts))
            self._parts, self._size = [], 0
