"""The control connection: connect, TLS, login, one command after the other.

The one rule: nothing secret goes out before the server's key was judged, unless the person allowed a plain login.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from homeport.client import tls
from homeport.client.errors import (
    ClientError,
    ConnectionFailed,
    Incompatible,
    LoginFailed,
    ProtocolViolation,
    Stalled,
    TlsRefused,
    UsageError,
)
from homeport.client.ftp.refusals import refusal
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.trust import Trust
from homeport.client.url import RemoteUrl
from homeport.protocols.ftp import reply_reader
from homeport.protocols.ftp.reply_reader import ReplyError, ReplyReader, ServerReply

_RECEIVE_BYTES = 16 * 1024

T = TypeVar("T")
Then = Callable[[ServerReply | None], None]
"""Hears a command's final reply; None when the connection was gone before it came."""


class Asked:
    """A command that was sent, with what came back so far."""

    __slots__ = ("final", "preliminary", "then")

    def __init__(self, then: Then | None = None) -> None:
        self.preliminary: ServerReply | None = None
        self.final: ServerReply | None = None
        self.then = then


class Control:
    """One control connection; `features` is filled at login. Used by one thread; `interrupt` may come from another."""

    def __init__(self, url: RemoteUrl, trust: Trust, options: ConnectionOptions) -> None:
        self.url = url
        self.options = options
        self.features: dict[str, str] = {}
        self.greeting = ""
        self.is_private = False
        self.fingerprint = ""
        self.tls_context: ssl.SSLContext | None = None
        self._trust = trust
        self._reader = ReplyReader()
        self._replies: deque[ServerReply] = deque()
        self._unanswered: deque[Asked] = deque()
        self._socket: socket.socket | None = None

    # --- coming in ---

    def connect(self) -> None:
        """Connect and make it private. Raises ConnectionFailed, TlsRefused, IdentityChanged, IdentityUnknown."""
        by_key = self._trust.expected(self.url.server) is not None
        try:
            self._connect(by_key=by_key)
        except tls.NotVouchedFor:
            self._connect(by_key=True)  # at first contact with a key of the server's own, once

    def log_in(self, credentials: Credentials) -> None:
        """USER and PASS, then what this server can do. Raises LoginFailed."""
        reply = self.ask("USER", credentials.user)
        if reply.code == 331:
            reply = self.ask("PASS", credentials.password)
        if reply.code == 332:
            raise Incompatible("the server wants an account besides name and password, which Homeport does not send")
        if not reply.is_success:
            text = self.text(reply)
            raise LoginFailed(f"login of {credentials.user} failed: the server says: {text}", reply.code, text)
        self._learn_features()

    def _connect(self, *, by_key: bool) -> None:
        self._reader, self._replies = ReplyReader(), deque()
        host, port = self.url.host, self.url.port
        try:
            self._socket = socket.create_connection((host, port), self.options.connect_timeout_s)
        except OSError as failure:
            raise ConnectionFailed(f"cannot connect to {host} port {port}: {tls.reason(failure)}") from failure
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            if self.url.scheme == "ftps":
                self._secure(by_key=by_key)
            self._greet()
            if self.url.scheme != "ftps":
                self._ask_for_tls(by_key=by_key)
            self._socket.settimeout(self.options.stall_timeout_s)
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        reply = self._read()
        while reply.is_preliminary:  # 120: ready in a while
            reply = self._read()
        self.greeting = self.text(reply)
        if not reply.is_success:
            raise ConnectionFailed(f"{self.url.host} takes nobody in now; it says: {self.greeting}")

    def _ask_for_tls(self, *, by_key: bool) -> None:
        reply = self.ask("AUTH", "TLS")
        if reply.code == 234:
            if not self._reader.is_clean or self._replies:
                # Whatever stands in the clear behind 234 was not said by the server that TLS will prove.
                raise ProtocolViolation("the server sent bytes in the clear before TLS; somebody may be in between")
            self._secure(by_key=by_key)
        elif self._trust.expected(self.url.server) is not None:
            raise TlsRefused(f"{self.url.host} had TLS before and offers none now; somebody may be in between")
        elif not self.options.plain:
            raise TlsRefused(
                f"{self.url.host} offers no TLS, so the password would travel readable for anybody on the way; "
                "add --plain to accept that"
            )

    def _secure(self, *, by_key: bool) -> None:
        self.tls_context = tls.context(by_key=by_key)
        secured = tls.secure(self._open(), self.tls_context, self.url.server, self.url.host, self._trust)
        self._socket, self.fingerprint, self.is_private = secured.socket, secured.fingerprint, True

    def _learn_features(self) -> None:
        # All at once: one round trip. PBSZ comes first because PROT needs it (RFC 4217 section 9).
        feat = self.send("FEAT")
        site = self.send("SITE", "HELP") if self.answers_in_order else None  # our own server's extras
        protect = [self.send("PBSZ", "0"), self.send("PROT", "P")] if self.is_private else []
        unchanged = self.send("TYPE", "I")
        reply = self.answer(feat)
        self.features = reply_reader.features(reply) if reply.is_success else {}
        if site is not None and self.answer(site).is_success:
            self.features["SITE"] = f"{self.features.get('SITE', '')} {self.text(self.answer(site))}"
        for asked in protect:
            self.accept(self.answer(asked), "protect transfers")
        self.accept(self.answer(unchanged), "transfer files unchanged")
        if "UTF8" in self.features and self.options.charset == "utf-8":
            self.send("OPTS", "UTF8 ON")  # some servers want it; those that do not may refuse

    @property
    def answers_in_order(self) -> bool:
        """Whether commands behind a transfer wait for its end and are answered then: Homeport promises that. Others
        may throw them away, or answer them in the middle.
        """
        return self.greeting.lower().startswith("homeport")

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        """The session that data connections resume."""
        return self._socket.session if isinstance(self._socket, ssl.SSLSocket) else None

    @property
    def address(self) -> tuple[str, int]:
        """The server's address as connected: data connections go there and nowhere else."""
        peer = self._open().getpeername()
        return peer[0], peer[1]

    # --- talking ---

    def send(self, verb: str, argument: str = "", *, then: Then | None = None) -> Asked:
        """One command, without waiting; `answer` waits. With `then` nobody has to: it is called in its turn.

        Raises UsageError for a name that would end the line.
        """
        line = f"{verb} {argument}" if argument else verb
        if any(character in line for character in "\r\n\0"):
            raise UsageError(f"{argument!r}: FTP cannot carry a name with a line break or NUL")
        try:
            raw = line.encode(self.options.charset, "surrogateescape")
        except UnicodeEncodeError:
            raise UsageError(f"{argument!r} cannot be written in the charset {self.options.charset}") from None
        asked = Asked(then)
        self._unanswered.append(asked)
        # A byte 255 begins a Telnet command unless it is doubled (RFC 959 section 4.1.3, RFC 854).
        self._io(lambda connected: connected.sendall(raw.replace(b"\xff", b"\xff\xff") + b"\r\n"))
        return asked

    def answer(self, asked: Asked) -> ServerReply:
        """The final reply, good or bad. 421 in its place is ConnectionFailed: the server goes away."""
        while asked.final is None:
            self._hear()
        return asked.final

    def first_answer(self, asked: Asked) -> ServerReply:
        """The first reply: a preliminary one, or the final one where none came before."""
        while asked.preliminary is None and asked.final is None:
            self._hear()
        first = asked.preliminary or asked.final
        assert first is not None
        return first

    def settle(self) -> None:
        """Hear every answer that is still to come."""
        while self._unanswered:
            self._hear()

    def _hear(self) -> None:
        """The next reply, for the oldest command without one: servers answer in order."""
        reply = self._read()
        if reply.code == 421 or not self._unanswered:
            text = self.text(reply)
            self.close()
            raise ConnectionFailed(f"{self.url.host} ends the session: {text}")
        asked = self._unanswered[0]
        if reply.is_preliminary:
            asked.preliminary = asked.preliminary or reply
            return
        self._unanswered.popleft()
        asked.final = reply
        if asked.then is not None:
            asked.then(reply)

    def _read(self) -> ServerReply:
        while not self._replies:
            data = self._io(lambda connected: connected.recv(_RECEIVE_BYTES))
            if not data:
                self.close()
                raise ConnectionFailed(f"{self.url.host} closed the connection")
            try:
                self._reader.receive(data)
            except ReplyError as failure:
                self.close()
                raise ProtocolViolation(str(failure)) from failure
            self._replies += self._reader.replies()
        return self._replies.popleft()

    def ask(self, verb: str, argument: str = "") -> ServerReply:
        """One command and its final reply, good or bad."""
        return self.answer(self.send(verb, argument))

    def must(self, verb: str, argument: str = "", *, doing: str) -> ServerReply:
        """One command that has to succeed; else the refusal that its reply means. `doing` as in "store /a"."""
        return self.accept(self.ask(verb, argument), doing)

    def accept(self, reply: ServerReply, doing: str) -> ServerReply:
        """The reply, if it is a yes; else the refusal that it means."""
        if not reply.is_success:
            raise refusal(reply.code, self.text(reply), doing)
        return reply

    def text(self, reply: ServerReply) -> str:
        """A reply's text for a person."""
        return self.decode(b"\n".join(reply.lines))

    def decode(self, raw: bytes) -> str:
        """A name or text of the server's; bytes that do not fit the charset come through as surrogates."""
        return raw.decode(self.options.charset, "surrogateescape")

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Inside, so long without a word is a stall already."""
        self._open().settimeout(min(seconds, self.options.stall_timeout_s))
        try:
            yield
        finally:
            if self._socket is not None:
                self._socket.settimeout(self.options.stall_timeout_s)

    # --- going ---

    def interrupt(self) -> None:
        """From another thread: whatever is waited for fails now."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # SSLSocket's own takes TLS away first: what another thread sends meanwhile would go in the clear.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self, *, politely: bool = False) -> None:
        """Close; `politely` says QUIT first and waits for no answer."""
        if self._socket is None:
            return
        if politely:
            with contextlib.suppress(ClientError):
                self.send("QUIT")
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        unanswered, self._unanswered = self._unanswered, deque()
        for asked in unanswered:
            if asked.then is not None:
                asked.then(None)

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionFailed(f"the connection to {self.url.host} is closed")
        return self._socket

    def _io(self, act: Callable[[socket.socket], T]) -> T:
        try:
            return act(self._open())
        except TimeoutError as failure:
            self.close()
            raise Stalled(f"{self.url.host} said nothing for {self.options.stall_timeout_s:.0f} s") from failure
        except OSError as failure:
            self.close()
            raise ConnectionFailed(f"the connection to {self.url.host} broke: {tls.reason(failure)}") from failure
