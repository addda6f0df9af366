"""The sending half of a session: messages in parts, kept until they are acknowledged, sent again with growing patience.

The one rule: a part is forgotten when the other side has said that it has it, and not before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from homeport.protocols.chat.frames import ACK_REACH, PART_BYTES, Ack, Segment

_FIRST_WINDOW, _LEAST_WINDOW = 16.0, 4.0
_EARLY = 3  # later parts that have come tell that one is lost (RFC 9002 section 6.1.1)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, an acknowledgement is waited for: at first, at least, and at most."""

    first_s: float = 0.3
    least_s: float = 0.05
    most_s: float = 2.0


@dataclass(slots=True)
class _Part:
    segment: Segment
    sent_at: float = 0.0
    due: float = 0.0  # when it is sent again
    times: int = 0  # sent


class Sending:
    """Parts numbered from 0, in order."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._waiting: deque[Segment] = deque()
        self._under_way: dict[int, _Part] = {}
        self._next_number = 0
        self._window = _FIRST_WINDOW
        self._smooth_s: float | None = None  # RFC 6298's SRTT
        self._vary_s = 0.0  # and RTTVAR
        self.queued_bytes = 0
        self.repeated = 0  # parts that were sent again, so far

    @property
    def is_idle(self) -> bool:
        """Whether everything was acknowledged."""
        return not self._waiting and not self._under_way

    def add(self, message: bytes) -> None:
        """Queue a message, in parts."""
        for at in range(0, max(1, len(message)), PART_BYTES):
            data = message[at : at + PART_BYTES]
            self._waiting.append(Segment(self._next_number, data, at + PART_BYTES >= len(message)))
            self._next_number += 1
        self.queued_bytes += len(message)

    def take(self, now: float, room: int) -> Segment | None:
        """The next part to send, of at most `room` bytes of data; None when it is nobody's turn."""
        late = next((part for part in self._under_way.values() if part.due <= now), None)
        if late is not None:
            if len(late.segment.data) > room:
                return None
            self._again(late, now)
            return late.segment
        if not self._waiting or len(self._waiting[0].data) > room or not self._may_send():
            return None
        part = _Part(self._waiting.popleft())
        self._under_way[part.segment.number] = part
        self._sent(part, now)
        return part.segment

    def acknowledged(self, ack: Ack, now: float) -> None:
        """The other side has told what it has."""
        highest = -1
        for number in [number for number in self._under_way if _has(ack, number)]:
            part = self._under_way.pop(number)
            self.queued_bytes -= len(part.segment.data)
            highest = max(highest, number)
            self._window = min(float(ACK_REACH), self._window + 1.0 / self._window)
            if part.times == 1:  # of one that was sent twice nobody knows which arrived (Karn)
                self._measure(now - part.sent_at)
        for number, part in self._under_way.items():
            if number + _EARLY <= highest and part.times == 1:
                part.due = now

    def due(self) -> float | None:
        """When a part must be sent again, if nothing comes until then."""
        return min((part.due for part in self._under_way.values()), default=None)

    def _may_send(self) -> bool:
        first = next(iter(self._under_way), self._waiting[0].number)
        return len(self._under_way) < self._window and self._waiting[0].number <= first + ACK_REACH

    def _again(self, part: _Part, now: float) -> None:
        self.repeated += 1
        self._window = max(_LEAST_WINDOW, self._window * 0.75)
        self._sent(part, now)

    def _sent(self, part: _Part, now: float) -> None:
        part.times += 1
        part.sent_at = now
        part.due = now + min(self._patience.most_s, self._timeout_s() * 2.0 ** (part.times - 1))

    def _timeout_s(self) -> float:
        if self._smooth_s is None:
            return self._patience.first_s
        return max(self._patience.least_s, self._smooth_s + 4.0 * self._vary_s)

    def _measure(self, took_s: float) -> None:
        if self._smooth_s is None:
            self._smooth_s, self._vary_s = took_s, took_s / 2.0
            return
        self._vary_s += (abs(self._smooth_s - took_s) - self._vary_s) / 4.0
        self._smooth_s += (took_s - self._smooth_s) / 8.0


def _has(ack: Ack, number: int) -> bool:
    beyond = number - ack.next_one - 1
    return beyond < -1 or (0 <= beyond < ACK_REACH and bool(ack.others >> beyond & 1))
