"""Requests with their answers, as both engines keep them: what each side has said, and the credit of either direction.

The one rule: a stream lives until it is answered and the client's half has ended, on both sides at the same frame.
"""

from __future__ import annotations

from homeport.protocols.hptp.faults import FaultCode, Misuse, ProtocolFault
from homeport.protocols.hptp.frames import FrameType
from homeport.protocols.hptp.states import HALVES, MAY_CROSS, Half, Role, first_half
from homeport.protocols.hptp.windows import ReceiveWindow, SendWindow


class Stream:
    """`client` and `server`: what each side has said. `deaf`: what still comes means nothing to our program."""

    __slots__ = ("client", "deaf", "receiving", "sending", "server", "told")

    def __init__(self, op: str, receive_window: int, send_window: int) -> None:
        self.client = first_half(op)
        self.server = Half.SILENT
        self.receiving = ReceiveWindow(receive_window)
        self.sending = SendWindow(send_window)
        self.deaf = False
        self.told = False  # our program has been told the end already

    @property
    def is_over(self) -> bool:
        return self.server is Half.OVER and self.client is not Half.BODY

    def half(self, role: Role) -> Half:
        """What that side has said."""
        return self.client if role is Role.CLIENT else self.server

    def move(self, role: Role, half: Half) -> None:
        if role is Role.CLIENT:
            self.client = half
        else:
            self.server = half


class Streams:
    """The open streams of one connection. `leaving_at`: after our GOAWAY, those beyond it are not served."""

    __slots__ = ("_role", "last_heard", "last_opened", "leaving_at", "open", "peer_leaves")

    def __init__(self, role: Role) -> None:
        self._role = role
        self.open: dict[int, Stream] = {}
        self.last_opened = 0  # by us, as the client
        self.last_heard = 0  # opened by the peer, as the server
        self.leaving_at: int | None = None
        self.peer_leaves = False

    def speak(self, number: int, kind: FrameType) -> Stream | None:
        """The stream on which we say `kind`, moved on by it; None when its answer has come meanwhile. Raises Misuse."""
        stream = self.open.get(number)
        if stream is None:
            if self._role is Role.CLIENT and 0 < number <= self.last_opened:
                return None
            raise Misuse(f"{kind.name} on stream {number}, which is not open")
        half = stream.half(self._role)
        after = HALVES[half].get(kind)
        if after is None:
            raise Misuse(f"{kind.name} on stream {number}, on which the {self._role.value} has said {half.value}")
        stream.move(self._role, after)
        return stream

    def listen(self, number: int, kind: FrameType) -> Stream | None:
        """The stream on which the peer said `kind`, moved on by it; None when that was under way as it ended.

        Raises ProtocolFault.
        """
        stream = self.open.get(number)
        peer = self._role.peer
        if stream is None:
            if self._is_beyond(number) or (kind in MAY_CROSS and number <= max(self.last_heard, self.last_opened)):
                return None
            raise ProtocolFault(FaultCode.STREAM_MALFORMED, f"{kind.name} on stream {number}, which is not open")
        half = stream.half(peer)
        after = HALVES[half].get(kind)
        if after is None:
            text = f"{kind.name} on stream {number}, on which the {peer.value} has said {half.value}"
            raise ProtocolFault(FaultCode.FRAME_UNEXPECTED, text)
        stream.move(peer, after)
        return stream

    def forget_if_over(self, number: int) -> None:
        if self.open[number].is_over:
            del self.open[number]

    def _is_beyond(self, number: int) -> bool:
        """Whether the stream was opened after our GOAWAY, or answered for by the peer's."""
        if self._role is Role.SERVER:
            return self.leaving_at is not None and self.leaving_at < number <= self.last_heard
        return self.peer_leaves and number <= self.last_opened
