"""One HPTP connection, either side of it, without any input or output of its own.

Bytes go in by `receive`, events come out of `events`, the program acts by `open`, the `send_...` and `cancel`, and
buffers to send come out of `take_output`. A loop that serves a connection does, after every call that changes
something:

    while (events := engine.events()) or (output := engine.take_output()): ...handle, send...

The rules that it keeps:
- every REQUEST is answered by exactly one RESULT or ERROR; whoever still sends a body then stops by CANCEL.
- nobody sends DATA that the other has not granted; nothing else waits for credit, and all else is bounded.
- what may follow what stands in `states`; a peer that does otherwise ends the connection, with a GOAWAY that says why.
- a stream whose peer overruns its window fails alone; an overrun of the whole connection ends it.

It is not thread-safe. Once the connection is closed, everything that sends does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from homeport.protocols.hptp import strict_json
from homeport.protocols.hptp.events import (
    AuthReceived,
    Broken,
    CancelReceived,
    CreditGranted,
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
from homeport.protocols.hptp.faults import FaultCode, Misuse, ProtocolFault
from homeport.protocols.hptp.frames import MAX_STREAM, PING_BYTES, FrameReader, FrameType
from homeport.protocols.hptp.items import frames_of_items, items_of
from homeport.protocols.hptp.limits import Limits, read_hello
from homeport.protocols.hptp.output import Buffer, Output
from homeport.protocols.hptp.states import HALVES, SENDS, Half, Phase, Role
from homeport.protocols.hptp.stream import Stream, Streams
from homeport.protocols.hptp.strict_json import MAX_CONTROL_BYTES, Json
from homeport.protocols.hptp.windows import ReceiveWindow, SendWindow

_MAX_CONTROL_BEFORE_LOGIN = 8 * 1024
_MAX_AUTH_MESSAGES = 2  # of either side
_MAX_REFLEXES = 64 * 1024  # bytes of PONG, WINDOW and the like that wait while the peer goes on asking
_OVERRUN = "more DATA came than was granted"


class Connection:
    """One side. `limits` is what it announces; HELLO waits in `take_output` from the start."""

    __slots__ = (
        "_auth_left", "_events", "_hears", "_output", "_phase", "_reader", "_receiving", "_sending", "_streams",
        "limits", "peer", "role",
    )  # fmt: skip

    def __init__(self, role: Role, limits: Limits) -> None:
        self.role = role
        self.limits = limits
        self.peer: Limits | None = None  # what the peer announced, once it has
        self._phase = Phase.GREETING
        self._hears = SENDS[role.peer][Phase.GREETING]
        self._reader = FrameReader(limits.max_payload, _MAX_CONTROL_BEFORE_LOGIN)
        self._output = Output()
        self._events: list[Event] = []
        self._streams = Streams(role)
        self._receiving = ReceiveWindow(limits.connection_window)
        self._sending = SendWindow(0)
        self._auth_left = _MAX_AUTH_MESSAGES
        self._output.put_json(FrameType.HELLO, 0, limits.hello())

    # --- what the program reads ---

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def closed(self) -> bool:
        return self._phase is Phase.CLOSED

    @property
    def wants_data(self) -> bool:
        """Whether to go on reading from the peer: not while it lets what it asks for pile up here."""
        return self._phase is not Phase.CLOSED and self._output.reflexes < _MAX_REFLEXES

    @property
    def data_left(self) -> int:
        """Bytes of DATA that are still to come of the frame that has begun: to hear them at once costs nothing more."""
        return self._reader.data_left

    @property
    def output_size(self) -> int:
        """Bytes that wait in `take_output`."""
        return self._output.size

    @property
    def streams(self) -> int:
        """How many streams are not over."""
        return len(self._streams.open)

    @property
    def can_open(self) -> bool:
        """Whether the server would take one more request now."""
        return (
            self.role is Role.CLIENT
            and self._phase is Phase.OPEN
            and not self._streams.peer_leaves
            and self._streams.leaving_at is None
            and self.peer is not None
            and len(self._streams.open) < self.peer.max_streams
            and self._streams.last_opened < MAX_STREAM
        )

    def credit(self, stream: int) -> int:
        """How many bytes `send_data` takes now; 0 also for a stream that takes no more at all."""
        found = self._streams.open.get(stream)
        if found is None or FrameType.DATA not in HALVES[found.half(self.role)]:
            return 0
        return min(found.sending.credit, self._sending.credit)

    def is_open(self, stream: int) -> bool:
        """Whether the stream exists and our half of it has not ended."""
        found = self._streams.open.get(stream)
        ended = (Half.OVER, Half.DONE, Half.CANCELLED)
        return found is not None and found.half(self.role) not in ended

    # --- bytes and events ---

    def receive(self, data: bytes | memoryview) -> None:
        """What the peer sent, after TLS is taken off. Events may refer to `data`, which must not change."""
        if self._phase is Phase.CLOSED:
            return
        try:
            for kind, stream, payload in self._reader.read(data):
                if kind not in self._hears:
                    raise ProtocolFault(FaultCode.FRAME_UNEXPECTED, f"{kind.name} {self._phase.value}")
                self._HEARERS[kind](self, stream, payload)
        except ProtocolFault as fault:
            self._break(fault)

    def receive_eof(self) -> None:
        """The peer closed its side, or the connection was cut."""
        if self._phase is not Phase.CLOSED:
            where = "in the middle of a frame" if self._reader.in_frame else "between frames"
            self._close(Broken(FaultCode.CONNECTION_CUT, f"the connection ended {where}"))

    def events(self) -> Sequence[Event]:
        """What happened since the last call."""
        events = self._events
        if not events:
            return ()
        self._events = []
        return events

    def take_output(self) -> list[Buffer]:
        """What is to be sent, in order."""
        return self._output.take()

    # --- what the program says: the connection ---

    def send_auth(self, message: Mapping[str, Json]) -> None:
        """One message of the mutual proof."""
        if self._phase not in (Phase.GREETING, Phase.PROVING, Phase.CLOSED):
            raise Misuse("AUTH after the proof is over")
        if self._phase is not Phase.CLOSED:
            self._output.put_json(FrameType.AUTH, 0, message)

    def authenticated(self) -> None:
        """Both sides have proved themselves: requests may come or go."""
        if self._phase is Phase.CLOSED:
            return
        if self._phase is not Phase.PROVING or self.peer is None:
            raise Misuse(f"nothing is proved {self._phase.value}")
        self._move(Phase.OPEN)
        self._reader.max_control = MAX_CONTROL_BYTES

    def ping(self, payload: bytes) -> None:
        """Ask for a PONG with these bytes, 8 to 16,384. Long ones open TCP's window, both ways."""
        least, most = PING_BYTES
        if not least <= len(payload) <= most:
            raise Misuse(f"a PING carries {least} to {most} bytes")
        if self._phase is not Phase.CLOSED:
            self._output.put(FrameType.PING, 0, payload)

    def go_away(self, code: str, message: str) -> None:
        """Take no new requests; those that came are still to be answered. The second time says nothing new."""
        if self._phase is not Phase.CLOSED and self._streams.leaving_at is None:
            self._streams.leaving_at = self._streams.last_heard
            self._say_goodbye(code, message)

    def close(self) -> None:
        """The program gives the connection up: nothing is heard or said any more."""
        self._streams.open.clear()
        self._move(Phase.CLOSED)

    # --- what the program says: streams ---

    def open(self, op: str, arguments: Mapping[str, Json]) -> int:
        """Send a REQUEST; its stream's number. Raises Misuse unless `can_open`, ValueError for what is no JSON."""
        if not self.can_open or self.peer is None:
            raise Misuse("no request can be made now")
        stream = self._streams.last_opened + 1
        self._output.put_json(FrameType.REQUEST, stream, {"op": op, **arguments})
        self._streams.last_opened = stream
        self._streams.open[stream] = Stream(op, self.limits.stream_window, self.peer.stream_window)
        return stream

    def send_head(self, stream: int, head: Mapping[str, Json]) -> None:
        """As the server: what the client must know before the body."""
        self._send_json(FrameType.HEAD, stream, head)

    def send_items(self, stream: int, items: Iterable[Mapping[str, Json]]) -> None:
        """As the server: entries, in as many frames as they need."""
        if self._speak(stream, FrameType.ITEMS) is not None:
            for payload in frames_of_items(items):
                self._output.put(FrameType.ITEMS, stream, payload)

    def send_data(self, stream: int, data: Buffer) -> None:
        """A part of the body, at most `credit` bytes; `data` must not change until it is sent. Raises Misuse."""
        if not data:
            return
        found = self._speak(stream, FrameType.DATA)
        if found is None or self.peer is None:
            return
        length, most = len(data), self.peer.max_payload
        if length > min(found.sending.credit, self._sending.credit):
            raise Misuse(f"{length} bytes of DATA beyond the credit of stream {stream}")
        found.sending.credit -= length
        self._sending.credit -= length
        if length <= most:
            self._output.put(FrameType.DATA, stream, data)
            return
        view = memoryview(data)
        for at in range(0, length, most):
            self._output.put(FrameType.DATA, stream, view[at : at + most])

    def send_end(self, stream: int, trailer: Mapping[str, Json]) -> None:
        """As the client: the body is complete."""
        self._send_json(FrameType.END, stream, trailer)

    def send_result(self, stream: int, result: Mapping[str, Json]) -> None:
        """As the server: the request went well."""
        self._send_json(FrameType.RESULT, stream, result)

    def send_error(self, stream: int, code: str, message: str, **details: Json) -> None:
        """As the server: the request failed."""
        self._send_json(FrameType.ERROR, stream, {"code": code, "message": message, **details})

    def cancel(self, stream: int, reason: str) -> None:
        """As the client: the answer is not wanted. Its RESULT or ERROR still comes, and nothing before it."""
        found = self._streams.open.get(stream)
        if found is not None and found.client is not Half.CANCELLED:
            self._send_json(FrameType.CANCEL, stream, {"reason": reason})
            found.deaf = True

    def consumed(self, stream: int, amount: int) -> None:
        """`amount` bytes of DataReceived have found their place: as many more may come."""
        if self._phase is Phase.CLOSED:
            return
        self._give_back(0, self._receiving, amount)
        found = self._streams.open.get(stream)
        if found is not None and not found.deaf and FrameType.DATA in HALVES[found.half(self.role.peer)]:
            self._give_back(stream, found.receiving, amount)

    # --- inside: saying ---

    def _speak(self, number: int, kind: FrameType) -> Stream | None:
        """The stream on which we say `kind`, moved on by it; None when nobody would hear it any more."""
        if self._phase is Phase.CLOSED:
            return None
        if self._phase is not Phase.OPEN or kind not in SENDS[self.role][Phase.OPEN]:
            raise Misuse(f"{kind.name} is not to be said by the {self.role.value} {self._phase.value}")
        return self._streams.speak(number, kind)

    def _send_json(self, kind: FrameType, number: int, value: Mapping[str, Json]) -> None:
        payload = strict_json.encode(value)
        stream = self._speak(number, kind)
        if stream is None:
            return
        self._output.put(kind, number, payload)
        if stream.server is Half.OVER:
            stream.deaf = True
            self._streams.forget_if_over(number)

    def _give_back(self, number: int, window: ReceiveWindow, amount: int) -> None:
        portion = window.consume(amount)
        if portion:
            self._output.put(FrameType.WINDOW, number, portion.to_bytes(4, "big"), reflex=True)

    def _say_goodbye(self, code: str, message: str) -> None:
        last = self._streams.last_heard if self._streams.leaving_at is None else self._streams.leaving_at
        self._output.put_json(FrameType.GOAWAY, 0, {"code": code, "message": message, "last_stream": last})

    def _move(self, phase: Phase) -> None:
        self._phase = phase
        self._hears = SENDS[self.role.peer][phase]

    def _break(self, fault: ProtocolFault) -> None:
        self._say_goodbye(fault.code.value, fault.text)
        self._close(Broken(fault.code, fault.text))

    def _close(self, event: Broken) -> None:
        self.close()
        self._events.append(event)

    # --- inside: hearing the connection ---

    def _hear_hello(self, _: int, payload: memoryview) -> None:
        self.peer = read_hello(strict_json.decode(bytes(payload)))
        self._sending.credit = self.peer.connection_window
        self._move(Phase.PROVING)
        self._events.append(HelloReceived(self.peer))

    def _hear_auth(self, _: int, payload: memoryview) -> None:
        if not self._auth_left:
            raise ProtocolFault(FaultCode.FRAME_UNEXPECTED, "AUTH after the proof's last message")
        self._auth_left -= 1
        self._events.append(AuthReceived(strict_json.decode(bytes(payload))))

    def _hear_ping(self, _: int, payload: memoryview) -> None:
        self._output.put(FrameType.PONG, 0, bytes(payload), reflex=True)

    def _hear_pong(self, _: int, payload: memoryview) -> None:
        self._events.append(PongReceived(bytes(payload)))

    def _hear_goaway(self, _: int, payload: memoryview) -> None:
        said = strict_json.decode(bytes(payload))
        code, message, last = said.get("code"), said.get("message"), said.get("last_stream")
        if not isinstance(code, str) or not isinstance(message, str) or type(last) is not int:
            raise ProtocolFault(FaultCode.JSON_MALFORMED, "GOAWAY without `code`, `message` and `last_stream`")
        self._streams.peer_leaves = True
        self._events.append(GoingAway(code, message, last))
        if self.role is Role.CLIENT:
            for number in [number for number in self._streams.open if number > last]:
                stream = self._streams.open.pop(number)
                if not stream.told:
                    self._events.append(ErrorReceived(number, "going-away", message, {}))

    def _hear_window(self, number: int, payload: memoryview) -> None:
        amount = int.from_bytes(payload, "big")
        if number == 0:
            self._sending.grant(amount)
        else:
            stream = self._streams.listen(number, FrameType.WINDOW)
            if stream is None:
                return
            stream.sending.grant(amount)
        self._events.append(CreditGranted(number))

    # --- inside: hearing streams ---

    def _hear_request(self, number: int, payload: memoryview) -> None:
        if number <= self._streams.last_heard:
            raise ProtocolFault(
                FaultCode.STREAM_MALFORMED, f"REQUEST on stream {number} after {self._streams.last_heard}"
            )
        arguments = strict_json.decode(bytes(payload))
        op = arguments.pop("op", None)
        if not isinstance(op, str):
            raise ProtocolFault(FaultCode.JSON_MALFORMED, "REQUEST without `op`")
        self._streams.last_heard = number
        if self._streams.leaving_at is not None:
            return
        if len(self._streams.open) >= self.limits.max_streams:
            raise ProtocolFault(FaultCode.STREAMS_TOO_MANY, f"more than {self.limits.max_streams} streams at once")
        assert self.peer is not None
        self._streams.open[number] = Stream(op, self.limits.stream_window, self.peer.stream_window)
        self._events.append(RequestReceived(number, op, arguments))

    def _hear_data(self, number: int, payload: memoryview) -> None:
        amount = len(payload)
        if not self._receiving.take(amount):
            raise ProtocolFault(FaultCode.WINDOW_OVERRUN, _OVERRUN)
        stream = self._streams.listen(number, FrameType.DATA)
        if stream is None or stream.deaf:
            self._give_back(0, self._receiving, amount)
        elif stream.receiving.take(amount):
            self._events.append(DataReceived(number, payload))
        else:
            self._give_back(0, self._receiving, amount)
            self._fail(number, stream)

    def _fail(self, number: int, stream: Stream) -> None:
        """The peer overran this stream's window: our program hears of its end, and of nothing that still comes."""
        stream.deaf = True
        code = FaultCode.WINDOW_OVERRUN.value
        if self.role is Role.SERVER:
            self._events.append(CancelReceived(number, code))
            return
        stream.told = True
        self._events.append(ErrorReceived(number, code, _OVERRUN, {}))
        self._send_json(FrameType.CANCEL, number, {"reason": code})

    def _hear_end(self, number: int, payload: memoryview) -> None:
        trailer = strict_json.decode(bytes(payload))
        stream = self._streams.listen(number, FrameType.END)
        if stream is None:
            return
        self._streams.forget_if_over(number)
        if not stream.deaf:
            self._events.append(EndReceived(number, trailer))

    def _hear_cancel(self, number: int, payload: memoryview) -> None:
        reason = strict_json.decode(bytes(payload)).get("reason")
        if not isinstance(reason, str):
            raise ProtocolFault(FaultCode.JSON_MALFORMED, "CANCEL without `reason`")
        stream = self._streams.listen(number, FrameType.CANCEL)
        if stream is None:
            return
        self._streams.forget_if_over(number)
        if not stream.deaf:
            stream.deaf = True
            self._events.append(CancelReceived(number, reason))

    def _hear_head(self, number: int, payload: memoryview) -> None:
        head = strict_json.decode(bytes(payload))
        stream = self._streams.listen(number, FrameType.HEAD)
        if stream is not None and not stream.deaf:
            self._events.append(HeadReceived(number, head))

    def _hear_items(self, number: int, payload: memoryview) -> None:
        items = items_of(strict_json.decode(bytes(payload)))
        stream = self._streams.listen(number, FrameType.ITEMS)
        if stream is not None and not stream.deaf:
            self._events.append(ItemsReceived(number, items))

    def _hear_result(self, number: int, payload: memoryview) -> None:
        self._answer(number, FrameType.RESULT, ResultReceived(number, strict_json.decode(bytes(payload))))

    def _hear_error(self, number: int, payload: memoryview) -> None:
        details = strict_json.decode(bytes(payload))
        code, message = details.pop("code", None), details.pop("message", None)
        if not isinstance(code, str) or not isinstance(message, str):
            raise ProtocolFault(FaultCode.JSON_MALFORMED, "ERROR without `code` and `message`")
        self._answer(number, FrameType.ERROR, ErrorReceived(number, code, message, details))

    def _answer(self, number: int, kind: FrameType, event: ResultReceived | ErrorReceived) -> None:
        stream = self._streams.listen(number, kind)
        if stream is None:
            return
        if stream.client is Half.BODY:  # what else we would have sent finds no reader: say that it ends
            self._output.put_json(FrameType.CANCEL, number, {"reason": "answered"}, reflex=True)
        del self._streams.open[number]
        if not stream.told:
            self._events.append(event)

    _HEARERS: ClassVar[dict[FrameType, Callable[[Connection, int, memoryview], None]]] = {
        FrameType.HELLO: _hear_hello,
        FrameType.AUTH: _hear_auth,
        FrameType.PING: _hear_ping,
        FrameType.PONG: _hear_pong,
        FrameType.GOAWAY: _hear_goaway,
        FrameType.WINDOW: _hear_window,
        FrameType.REQUEST: _hear_request,
        FrameType.DATA: _hear_data,
        FrameType.END: _hear_end,
        FrameType.HEAD: _hear_head,
        FrameType.ITEMS: _hear_items,
        FrameType.RESULT: _hear_result,
        FrameType.ERROR: _hear_error,
        FrameType.CANCEL: _hear_cancel,
    }
