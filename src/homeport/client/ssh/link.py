"""The SFTP subsystem of one SSH connection: numbered requests out, their answers in, in whatever order.

The one rule: nothing that the server sends is kept but the answer to a question that is still open.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Concatenate, ParamSpec, TypeVar, cast

import asyncssh

from homeport.client.errors import ClientError, ConnectionFailed, Incompatible, ProtocolViolation, Stalled
from homeport.client.ssh.connection import SshConnection
from homeport.client.ssh.refusals import refusal
from homeport.protocols.sftp import asking
from homeport.protocols.sftp.answered import Answer, StatusAnswer, parse_answer, parse_version
from homeport.protocols.sftp.constants import Status, Type
from homeport.protocols.sftp.packets import PacketReader
from homeport.protocols.sftp.wire import Malformed

# What the server may send before we have read it; more than is ever asked for at once.
_CHANNEL_WINDOW_BYTES = 16 * 1024 * 1024
_CHANNEL_PACKET_BYTES = 32 * 1024
_MAX_TEXT_BYTES = 4096
_NUMBERS = 1 << 32

A = TypeVar("A", bound=Answer)
P = ParamSpec("P")
Then = Callable[["Asked"], None]


class Asked:
    """A request that was sent. `reply` is None until it was answered; `then` hears of it where nobody waits."""

    __slots__ = ("failure", "reply", "then")

    def __init__(self, then: Then | None = None) -> None:
        self.reply: Answer | None = None
        self.failure: ClientError | None = None
        self.then = then

    @property
    def is_over(self) -> bool:
        """Whether there is an answer, or none will come."""
        return self.reply is not None or self.failure is not None


class Link(asyncssh.SSHClientSession[bytes]):
    """Used by one thread at a time, but for what asyncssh calls."""

    def __init__(self, connection: SshConnection, charset: str) -> None:
        self.connection = connection
        self.charset = charset
        self.extensions: dict[bytes, bytes] = {}
        self._driver = connection.driver
        self._packets = PacketReader()
        self._has_begun = False
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._unanswered: dict[int, Asked] = {}
        self._heard: deque[Asked] = deque()
        self._outgoing: list[bytes] = []
        self._number = 0
        self._failure: ClientError | None = None

    def open(self) -> None:
        """Start the subsystem. Raises Incompatible, ProtocolViolation, ConnectionFailed."""
        try:
            with _translated(self.connection):
                self._driver.complete(self._start())
        except asyncssh.ChannelOpenError as failure:
            raise Incompatible(
                f"{self._driver.host} does not offer SFTP to this account: {failure.reason}"
            ) from failure
        self._outgoing.append(asking.init())
        self.flush()
        self._wait(lambda: self._has_begun)

    async def _start(self) -> None:
        await self.connection.asyncssh.create_session(
            lambda: self,
            subsystem="sftp",
            encoding=None,
            window=_CHANNEL_WINDOW_BYTES,
            max_pktsize=_CHANNEL_PACKET_BYTES,
            send_env=None,
        )

    # --- asking ---

    def send(self, encode: Callable[Concatenate[int, P], bytes], *fields: P.args, **named: P.kwargs) -> Asked:
        """Put a request on its way; it goes out at `flush` or with the next wait. `encode` is one of `asking`."""
        return self.send_then(None, encode, *fields, **named)

    def send_then(
        self, then: Then | None, encode: Callable[Concatenate[int, P], bytes], *fields: P.args, **named: P.kwargs
    ) -> Asked:
        """The same; `then` hears of the answer, in a later call of the thread that uses this."""
        if self._failure is not None:
            raise self._failure
        self._number = (self._number + 1) % _NUMBERS
        asked = Asked(then)
        self._unanswered[self._number] = asked
        self._outgoing.append(encode(self._number, *fields, **named))
        return asked

    def flush(self) -> None:
        """Hand everything to the connection."""
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, []
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        try:
            with self._driver.inside(), memoryview(data) as whole:
                if self._channel is None:
                    raise ConnectionFailed(f"the connection to {self._driver.host} is closed")
                for at in range(0, len(data), _CHANNEL_PACKET_BYTES):  # asyncssh moves what is left of a larger one
                    self._channel.write(cast(bytes, whole[at : at + _CHANNEL_PACKET_BYTES]))
        except (OSError, asyncssh.Error) as failure:
            raise self._fail(self._gone()) from failure

    def answer(self, asked: Asked) -> Answer:
        """The reply, good or bad."""
        self._wait(lambda: asked.is_over)
        if asked.failure is not None:
            raise asked.failure
        assert asked.reply is not None
        return asked.reply

    def expect(self, kind: type[A], asked: Asked, doing: str) -> A:
        """The reply, if it is of this kind; else the refusal that its status means. `doing` as in "store /a"."""
        return self.accept(kind, self.answer(asked), doing)

    def accept(self, kind: type[A], reply: Answer, doing: str) -> A:
        """The same for a reply that is here already."""
        if isinstance(reply, StatusAnswer):
            if kind is not StatusAnswer and reply.code == Status.OK:
                raise self._fail(ProtocolViolation("the server says yes where it has to answer"))
            if reply.code != Status.OK:
                raise refusal(reply.code, self.text(reply.text), doing)
        if not isinstance(reply, kind):
            raise self._fail(ProtocolViolation("the server answers something else than what was asked"))
        return reply

    def confirm(self, asked: Asked, doing: str) -> None:
        """Wait for a yes."""
        self.expect(StatusAnswer, asked, doing)

    def settle(self) -> None:
        """Wait for every answer."""
        self._wait(lambda: not self._unanswered)

    def let_go(self, handle: bytes) -> None:
        """Close what was opened for reading, and wait for nothing."""
        if self.is_open:
            self.send(asking.about, Type.CLOSE, handle)
            self.flush()

    def text(self, raw: bytes) -> str:
        """A text of the server's, for a person."""
        return raw[:_MAX_TEXT_BYTES].decode("utf-8", "replace")

    # --- ending ---

    @property
    def is_open(self) -> bool:
        return self._failure is None and self.connection.is_open

    def close(self) -> None:
        """Close the connection; questions that are open hear of it."""
        self._fail(ConnectionFailed(f"the connection to {self._driver.host} is closed"))
        self.connection.close()
        self._tell()

    # --- what asyncssh calls ---

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is there."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Bytes of the subsystem; what it says on its standard error is nobody's answer."""
        if datatype is not None or self._failure is not None:
            return
        try:
            packets = self._packets.receive(data)
            for packet in packets:
                self._take(packet)
        except Malformed as failure:
            packets = []
            self._fail(ProtocolViolation(f"{self._driver.host} breaks the SFTP protocol: {failure}"))
        if packets or self._failure is not None:
            self._driver.wake()

    def eof_received(self) -> bool:
        """The subsystem has ended."""
        self._fail(self._gone())
        self._driver.wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the connection knows why
        """The channel or the whole connection is gone."""
        self._fail(self._gone())
        self._channel = None
        self._driver.wake()

    def _take(self, packet: memoryview) -> None:
        if not self._has_begun:
            self.extensions = parse_version(packet)
            self._has_begun = True
            return
        reply = parse_answer(packet)
        asked = self._unanswered.pop(reply.id, None)
        if asked is None:
            raise Malformed(f"it answers the request {reply.id}, which was not made")
        asked.reply = reply
        if asked.then is not None:
            self._heard.append(asked)

    def _wait(self, is_done: Callable[[], bool]) -> None:
        self.flush()
        try:
            self._driver.wait(lambda: is_done() or self._failure is not None)
        except ConnectionFailed as failure:
            self._fail(failure)
            if isinstance(failure, Stalled):
                self.connection.close()
        self._tell()
        if self._failure is not None and not is_done():
            raise self._failure

    def _tell(self) -> None:
        """Call those who hear of answers that nobody waited for."""
        while self._heard:
            asked = self._heard.popleft()
            assert asked.then is not None
            asked.then(asked)

    def _fail(self, failure: ClientError) -> ClientError:
        """From now on nothing works; the first failure is the one that counts."""
        if self._failure is None:
            self._failure = failure
            unanswered, self._unanswered = self._unanswered, {}
            for asked in unanswered.values():
                asked.failure = failure
                if asked.then is not None:
                    self._heard.append(asked)
        return self._failure

    def _gone(self) -> ConnectionFailed:
        why = self.connection.why_lost()
        return ConnectionFailed(f"{self._driver.host} ended the session" + (f": {why}" if why else ""))


@contextlib.contextmanager
def _translated(connection: SshConnection) -> Iterator[None]:
    """What asyncssh raises when a connection breaks, as what it means."""
    try:
        yield
    except asyncssh.ChannelOpenError:
        if connection.is_open:
            raise
        raise ConnectionFailed(f"{connection.driver.host} ended the session: {connection.why_lost()}") from None
    except (OSError, asyncssh.Error) as failure:
        raise ConnectionFailed(f"{connection.driver.host} ended the session: {failure}") from failure
