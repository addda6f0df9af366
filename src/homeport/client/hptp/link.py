"""One TLS connection with its thread: whoever asks, from whatever thread, is answered over this one.

The one rule: only the link's thread touches the socket, and only under `lock` is the engine touched. It reads ahead
as far as the credit goes and sends in large pieces; nobody who asks waits for the network.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Mapping
from time import monotonic

from homeport.client.errors import ClientError, ConnectionFailed, ProtocolViolation, Stalled
from homeport.client.hptp.exchange import Exchange
from homeport.client.lanes import news
from homeport.client.tls import reason
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import (
    Broken,
    CreditGranted,
    DataReceived,
    ErrorReceived,
    Event,
    GoingAway,
    HeadReceived,
    ItemsReceived,
    ResultReceived,
)
from homeport.protocols.hptp.records import in_records
from homeport.protocols.hptp.strict_json import Json
from homeport.protocols.rooms import Rooms

RECEIVE_BYTES = 256 * 1024
_COPIED_BYTES = 64 * 1024  # what comes in pieces up to here does not keep a whole buffer
_ROOMS = 48  # buffers that are kept
_HELD_WORDS = 48  # what askers say, a request or a piece of a body, before the thread hears of it
_HELD_BYTES = 64 * 1024
_PING = b"homeport"
_CUT_OFF = "the connection to the server was cut"


class Link:
    """Takes over a socket after its handshake and a `connection` that is open."""

    def __init__(self, secured: ssl.SSLSocket, connection: Connection, stall_s: float) -> None:
        self._lock = threading.Lock()
        self._socket = secured
        self._connection = connection
        self._stall_s = stall_s
        self._exchanges: dict[int, Exchange] = {}
        self._hoping: deque[Exchange] = deque()  # for room for their request
        self._outgoing: deque[memoryview] = deque()
        self._failure: ClientError | None = None
        self._closing = False
        self._leaving = False  # the server takes no new requests
        self._rooms = Rooms(RECEIVE_BYTES, _ROOMS)
        self._buffer = memoryview(self._rooms.take())
        self._signalled = False
        self._held = 0  # words that the thread has not heard of
        self._hears, self._calls = socket.socketpair()
        self._hears.setblocking(False)
        self._calls.setblocking(False)
        secured.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="hptp", daemon=True)
        self._thread.start()

    # --- what askers call ---

    @property
    def lock(self) -> threading.Lock:
        """Guards the engine, and what has come."""
        return self._lock

    @property
    def is_open(self) -> bool:
        """Whether requests can still be made."""
        return self._failure is None and not self._closing and not self._leaving

    async def request(self, owner: object, doing: str, op: str, arguments: Mapping[str, Json]) -> Exchange:
        """Send a request; waits while the server takes no more at once. Raises what ended the connection."""
        exchange = Exchange(self, owner, doing)
        while not self._try_open(exchange, op, arguments):
            await news(exchange)
        return exchange

    def _try_open(self, exchange: Exchange, op: str, arguments: Mapping[str, Json]) -> bool:
        with self._lock:
            if exchange.failure is not None or self._failure is not None:
                raise exchange.failure or self._failure or AssertionError
            if not self._connection.can_open:
                if self._leaving:
                    raise ConnectionFailed("the server is about to stop, and takes no more requests")
                self._hoping.append(exchange)
                return False
            try:
                exchange.stream = self._connection.open(op, arguments)
            except ValueError as failure:
                raise ProtocolViolation(f"cannot {exchange.doing}: no such request can be made: {failure}") from failure
            self._exchanges[exchange.stream] = exchange
        self._call_soon()
        return True

    async def send(self, exchange: Exchange, data: memoryview) -> None:
        """`data` of a body, as credit comes; an early answer ends it without a word, and is the next arrival."""
        left = data
        while left:
            if exchange.peek() is not None:
                return
            sent = self._send_some(exchange, left)
            if sent:
                left = left[sent:]
            else:
                await news(exchange)

    def _send_some(self, exchange: Exchange, data: memoryview) -> int:
        with self._lock:
            amount = min(self._connection.credit(exchange.stream), len(data))
            if amount:
                self._connection.send_data(exchange.stream, data[:amount])
        if amount:
            self._call_soon()
        return amount

    def end(self, exchange: Exchange, trailer: Mapping[str, Json]) -> None:
        """The body is complete."""
        with self._lock:
            self._connection.send_end(exchange.stream, trailer)
        self._call_soon()

    def consumed(self, exchange: Exchange, amount: int) -> None:
        """Bytes that came have found their place."""
        with self._lock:
            said = self._connection.output_size
            self._connection.consumed(exchange.stream, amount)
            says_more = self._connection.output_size > said
        if says_more:
            self._call()

    def cancel(self, exchange: Exchange, why: str) -> None:
        """The answer is not wanted any more."""
        with self._lock:
            self._connection.consumed(exchange.stream, exchange.drain())
            if self._exchanges.pop(exchange.stream, None) is not None:
                self._connection.cancel(exchange.stream, why)
        self._call()

    def fail_of(self, owner: object, failure: ClientError) -> None:
        """Everything that `owner` asked fails now."""
        with self._lock:
            for exchange in [*self._exchanges.values(), *self._hoping]:
                if exchange.owner is owner:
                    exchange.fail(failure)
            self._hoping = deque(exchange for exchange in self._hoping if exchange.owner is not owner)

    def close(self) -> None:
        """Say goodbye and close. Waits for the thread, a moment."""
        with self._lock:
            self._closing = True
            self._connection.go_away("done", "")
        self._call()
        if threading.current_thread() is not self._thread:
            self._thread.join(1.0)

    def hurry(self) -> None:
        """See `lanes.Source`."""
        if self._held:
            self._call()

    # --- the thread ---

    def _call_soon(self) -> None:
        """Wake the thread when there is enough to say: until then, or until `hurry`, whoever asks keeps the processor.

        Else the two threads take it from each other for every file, and each goes out in a record of its own.
        """
        self._held += 1
        if self._held >= _HELD_WORDS or self._connection.output_size >= _HELD_BYTES:
            self._call()

    def _call(self) -> None:
        """Wake the thread, once for all that is said before it looks."""
        self._held = 0
        if not self._signalled:
            self._signalled = True
            with contextlib.suppress(OSError):
                self._calls.send(b"x")

    def _run(self) -> None:
        failure: ClientError
        try:
            self._serve()
            failure = ConnectionFailed("the connection was closed")
        except ClientError as error:
            failure = error
        except (OSError, ValueError) as error:
            failure = ConnectionFailed(f"{_CUT_OFF}: {reason(error)}")
        with self._lock:
            self._failure = failure
            self._last_words()
            self._connection.close()
            for exchange in [*self._exchanges.values(), *self._hoping]:
                exchange.fail(failure)
            self._exchanges.clear()
        for closed in (self._socket, self._hears, self._calls):
            closed.close()

    def _last_words(self) -> None:
        """Why we go, if the server still listens."""
        with contextlib.suppress(OSError, ValueError):
            self._socket.send(b"".join(self._connection.take_output()))

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._hears, select.POLLIN)
        heard_at, pinged, more = monotonic(), False, False
        while True:
            self._send()
            if self._closing and not self._outgoing:
                with contextlib.suppress(OSError, ValueError):
                    self._socket.unwrap()
                return
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
            ready = poll.poll(0 if more else self._stall_s * 500)
            self._drain_calls()
            heard, more = self._receive()
            if heard:
                heard_at, pinged = monotonic(), False
            elif not ready:
                pinged = self._is_quiet(heard_at, pinged=pinged)

    def _is_quiet(self, heard_at: float, *, pinged: bool) -> bool:
        """Nothing came for half of the time that is allowed: ask once; whether that was done. Raises Stalled."""
        if not self._exchanges and not self._outgoing:
            return False
        if pinged and monotonic() - heard_at >= self._stall_s:
            raise Stalled(f"no byte came from the server for {self._stall_s:g} s")
        with self._lock:
            self._connection.ping(_PING)
        return True

    def _drain_calls(self) -> None:
        self._signalled = False
        with contextlib.suppress(BlockingIOError):
            self._hears.recv(64)

    def _send(self) -> None:
        """Everything that waits, as far as the socket takes it."""
        while True:
            if not self._outgoing:
                with self._lock:
                    buffers = self._connection.take_output()
                if not buffers:
                    return
                self._outgoing.extend(memoryview(piece) for piece in in_records(buffers))
            try:
                while self._outgoing:
                    piece = self._outgoing[0]
                    sent = self._socket.send(piece)
                    if sent == len(piece):
                        self._outgoing.popleft()
                    else:
                        self._outgoing[0] = piece[sent:]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return

    def _receive(self) -> tuple[bool, bool]:
        """Hand on what has come: whether that was anything, and whether there may be more. Raises what it means."""
        count, ended = self._fill(self._buffer)
        if count:
            with self._lock:
                heard = self._buffer[:count]
                if count > _COPIED_BYTES:
                    self._connection.receive(heard.toreadonly())
                    self._buffer = memoryview(self._rooms.take())  # bytes of DATA are views of the last one
                else:
                    self._connection.receive(bytes(heard))
                for event in self._connection.events():
                    self._dispatch(event)
        if ended:
            raise ConnectionFailed(_CUT_OFF)
        return count > 0, count == RECEIVE_BYTES

    def _fill(self, buffer: memoryview) -> tuple[int, bool]:
        """How many bytes came, and whether the peer has ended."""
        count = 0
        try:
            while count < len(buffer):
                got = self._socket.recv_into(buffer[count:])
                if not got:
                    return count, True
                count += got
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLEOFError:
            return count, True
        return count, False

    def _dispatch(self, event: Event) -> None:
        match event:
            case DataReceived() | HeadReceived() | ItemsReceived() if event.stream in self._exchanges:
                self._exchanges[event.stream].put(event)
            case ResultReceived() | ErrorReceived():
                self._answered(event)
            case CreditGranted():
                self._tell_credit(event.stream)
            case GoingAway():
                self._leave(event)
            case Broken():
                raise ProtocolViolation(f"the server breaks the protocol: {event.text} ({event.code.value})")
            case _:  # a PONG, or what nobody asks for any more
                pass

    def _answered(self, event: ResultReceived | ErrorReceived) -> None:
        exchange = self._exchanges.pop(event.stream, None)
        if exchange is not None:
            exchange.put(event)
        if self._hoping:
            self._hoping.popleft().tell()

    def _tell_credit(self, stream: int) -> None:
        if stream in self._exchanges:
            self._exchanges[stream].tell()
        elif stream == 0:
            for exchange in self._exchanges.values():
                exchange.tell()

    def _leave(self, event: GoingAway) -> None:
        self._leaving = True
        for exchange in self._hoping:
            exchange.fail(ConnectionFailed(f"the server is about to stop: {event.message}"))
        self._hoping.clear()
