"""Data connections: one for each transfer or listing, to the control connection's host and no other.

The one rule: an end is only an end when the server says so. Bytes may stop for many reasons; what makes a transfer
whole is the clean end of the stream (close_notify where it is private) and 226 on the control connection.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import re
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable

from homeport.client import tls
from homeport.client.errors import ClientError, ConnectionFailed, Incompatible, ProtocolViolation, Stalled
from homeport.client.ftp.control import Asked, Control
from homeport.client.remote import Digest
from homeport.protocols.ftp import reply_reader
from homeport.protocols.ftp.reply_reader import ReplyError, ServerReply

_STORED = re.compile(r"SHA-256[ :=]+([0-9a-f]{64})\b", re.IGNORECASE)


# As much is sent before the server has agreed: it fits into any socket's buffers, so nobody waits for a server that
# refuses, and a small file costs a round trip less.
_UNASKED_BYTES = 16 * 1024
_LOOK_UP_EVERY_S = 1.0
_VERDICT_WITHIN_S = 3.0
_UNSENT_BYTES = 256 * 1024
_UNREAD_BYTES = 3584 * 1024  # the kernel's overhead included; enough for 200 MB/s over a round trip of 10 ms
_LONG_ROUND_TRIP_US = 10_000  # from here on a line needs more to be kept busy
_IN_FLIGHT_BYTES = 8 * 1024 * 1024  # the kernel's overhead included
_ROUND_TRIP_AT = 68  # tcpi_rtt in struct tcp_info of linux/tcp.h


class Data:
    """One data connection from its command to its final reply. Made by `open_data`."""

    def __init__(self, control: Control, connected: socket.socket, asked: Asked, doing: str) -> None:
        self._control = control
        self._socket = connected
        self._asked = asked
        self._doing = doing
        self._sent = 0
        self._is_interrupted = False

    def receive_into(self, buffer: memoryview) -> int:
        """Some bytes; 0 at the stream's clean end. Raises ConnectionFailed at any other end."""
        agree(self._control, self._asked, self._doing)
        try:
            count = self._socket.recv_into(buffer)
        except OSError as failure:
            raise self._broken(failure) from failure
        if self._is_interrupted:
            raise ConnectionFailed("interrupted")
        return count

    def send(self, data: memoryview) -> None:
        """All of `data`. When the server has hung up, its reply on the control connection says why and is raised."""
        if self._sent + len(data) > _UNASKED_BYTES:
            agree(self._control, self._asked, self._doing)
        self._sent += len(data)
        try:
            self._send_all(data)
        except OSError as failure:
            broken = self._broken(failure)
            # After an interruption it is left to `abort`, which makes sure that it does not end like a whole file.
            if not isinstance(broken, Stalled) and not self._is_interrupted:
                self._socket.close()
                self._control.accept(self._control.answer(self._asked), self._doing)
            raise broken from failure

    def finish(self) -> Digest | None:
        """End the stream cleanly and read the verdict; the digest that the server names in it, if it does."""
        self._end_stream()
        reply = self._control.accept(self._control.answer(self._asked), self._doing)
        found = _STORED.search(self._control.text(reply))
        return Digest("SHA-256", found[1].lower()) if found else None

    def abort(self) -> None:
        """End it early. Without the server's last word the control connection goes too: its state would be a guess."""
        if not self._is_private:
            # A stream in the clear that is closed looks whole; one that is reset does not.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        if self._asked.final is None:
            self._control.close()

    def interrupt(self) -> None:
        """From another thread: whatever is waited for fails now, or within a second."""
        self._is_interrupted = True
        with contextlib.suppress(OSError):
            # In the clear nothing may go out that reads as the end of the file; see `_send_all`.
            # SSLSocket's own shutdown takes TLS away first: what another thread sends meanwhile would go in the clear.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR if self._is_private else socket.SHUT_RD)

    @property
    def _is_private(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket)

    def _send_all(self, data: memoryview) -> None:
        if self._is_private:
            self._socket.sendall(data)
            return
        patience = self._control.options.stall_timeout_s
        waited = 0.0
        while data:
            if self._is_interrupted:
                raise ConnectionAbortedError(errno.ECONNABORTED, "interrupted")
            if _is_writable(self._socket, min(_LOOK_UP_EVERY_S, patience)):
                data, waited = data[self._socket.send(data) :], 0.0
            elif (waited := waited + _LOOK_UP_EVERY_S) >= patience:
                raise TimeoutError

    def _end_stream(self) -> None:
        try:
            if isinstance(self._socket, ssl.SSLSocket):
                # Waits for the peer's close_notify as well: leaving unread bytes behind would reset the connection
                # and could take the tail of an upload with it.
                self._socket.unwrap()
        except TimeoutError:
            raise self._broken(TimeoutError()) from None
        except OSError:
            pass  # the peer closed without a goodbye; its reply tells whether it has everything
        finally:
            self._socket.close()

    def _broken(self, failure: OSError) -> ConnectionFailed:
        if isinstance(failure, TimeoutError):
            return Stalled(f"no byte came through for {self._control.options.stall_timeout_s:.0f} s")
        return ConnectionFailed(f"the data connection broke: {tls.reason(failure)}")


def _is_writable(connected: socket.socket, timeout_s: float) -> bool:
    poll = select.poll() if hasattr(select, "poll") else None
    if poll is None:  # Windows
        return bool(select.select([], [connected], [], timeout_s)[1])
    poll.register(connected, select.POLLOUT)
    return bool(poll.poll(timeout_s * 1000))


def open_data(control: Control, passive: Passive, verb: str, argument: str, *, offset: int = 0, doing: str) -> Data:
    """A data connection for `verb argument`, which is sent now, from byte `offset` on.

    It does not wait for the server's yes: `Data` does, before anything that depends on it. Raises ConnectionFailed,
    ProtocolViolation, IdentityChanged, and over TLS what the server's refusal means.
    """
    port = passive.take()
    if offset:
        # Waited for: after a no, the tail would be stored as the whole file.
        control.must("REST", str(offset), doing=doing)
    # The command travels while the connection is being made: the server answers it once it sees the connection.
    asked = control.send(verb, argument)
    if control.answers_in_order:
        passive.prepare()
    host = control.address[0]
    try:
        connected = socket.create_connection((host, port), control.options.connect_timeout_s)
    except OSError as failure:
        # A server that refuses the command may stop listening at once: then its no is the cause, not the network.
        with contextlib.suppress(ConnectionFailed), control.patience(_VERDICT_WITHIN_S):
            control.accept(control.first_answer(asked), doing)
        control.close()
        raise ConnectionFailed(f"cannot open a data connection to port {port}: {tls.reason(failure)}") from failure
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hold_little(connected)
        return Data(control, _private(control, connected, asked, doing), asked, doing)
    except BaseException:
        connected.close()
        raise


def hold_little(connected: socket.socket) -> None:
    """What the kernel holds is lost when a process is killed, and is transferred again: let it hold little.

    What it takes before it can send it would only look sent. What has come in and was not read is bounded on a short
    line, where the system allows a bound that keeps it busy.
    """
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    if sys.platform == "linux":
        _bound_queues(connected)


def _bound_queues(connected: socket.socket) -> None:
    if _round_trip_us(connected) >= _LONG_ROUND_TRIP_US:
        if _is_granted(socket.SO_SNDBUF, _IN_FLIGHT_BYTES):
            # By itself Linux queues 4 MiB and wakes a writer when a third is free: over 50 ms that is 57 MB/s at most.
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _IN_FLIGHT_BYTES // 2)
    elif _is_granted(socket.SO_RCVBUF, _UNREAD_BYTES):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BYTES // 2)  # Linux doubles it
        # The window does not follow a bound that is set; without this it stays at its small beginning.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, _UNREAD_BYTES)


def _round_trip_us(connected: socket.socket) -> int:
    told = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP_AT + 4)
    return int(struct.unpack_from("=I", told, _ROUND_TRIP_AT)[0])


@functools.cache
def _is_granted(option: int, size: int) -> bool:
    """Whether net.core allows a queue of `size` bytes: else its own maximum would be the bound, and a line starve."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, option, size // 2)
        return probe.getsockopt(socket.SOL_SOCKET, option) >= size


def agree(control: Control, asked: Asked, doing: str) -> None:
    """Wait for the server's yes to a transfer, or raise what its no means."""
    if not control.accept(control.first_answer(asked), doing).is_preliminary:
        raise ProtocolViolation(f"the server ended it before it began: {doing}")


def _private(control: Control, connected: socket.socket, asked: Asked, doing: str) -> socket.socket:
    if control.tls_context is not None:
        # A server that refuses never answers the handshake; so its reply is read first, while the handshake begins.
        try:
            secured = tls.shake_hands(
                connected,
                control.tls_context,
                control.url.host,
                control.tls_session,
                lambda: agree(control, asked, doing),
            )
        except (ConnectionFailed, tls.NotVouchedFor) as failure:
            if control.is_open:
                # The server says on the control connection what it disliked, a missing resumption for instance.
                control.accept(control.answer(asked), "open a private data connection")
            raise ConnectionFailed(str(failure)) from failure
        try:
            tls.same_server(secured, control.fingerprint)
        except ClientError:
            secured.close()
            raise
        secured.settimeout(control.options.stall_timeout_s)
        return secured
    connected.settimeout(control.options.stall_timeout_s)
    return connected


class Passive:
    """Where data connections go to: one port a connection, asked for ahead when more transfers are likely."""

    def __init__(self, control: Control, clock: Callable[[], float] = time.monotonic) -> None:
        self._control = control
        self._clock = clock
        self._prepared: Asked | None = None
        self._prepared_at = 0.0
        self._is_extended = True
        self._taken = 0

    def take(self) -> int:
        """A port to connect to. Raises ProtocolViolation, Incompatible, and what a refusal means."""
        self._taken += 1
        prepared, self._prepared = self._prepared, None
        # Servers listen for a while only, and nobody says for how long.
        if prepared is None or self._clock() - self._prepared_at > _PREPARED_FOR_S:
            prepared = self._ask()
        reply = self._control.answer(prepared)
        try:
            if self._is_extended:
                if reply.code == 229:
                    return reply_reader.extended_passive_port(reply.text)
                reply = self._fall_back()
            return reply_reader.passive_port(self._control.accept(reply, "open a data connection").text)
        except ReplyError as failure:
            raise ProtocolViolation(str(failure)) from failure

    def prepare(self) -> None:
        """Ask for the next port already, if one transfer has followed another before."""
        if self._prepared is None and self._taken > 1:
            self._prepared, self._prepared_at = self._ask(), self._clock()

    def _ask(self) -> Asked:
        """EPSV, which works everywhere, then PASV for servers that know no other."""
        return self._control.send("EPSV" if self._is_extended else "PASV")

    def _fall_back(self) -> ServerReply:
        if ":" in self._control.address[0]:
            raise Incompatible("the server knows no EPSV, which data connections over IPv6 need")
        self._is_extended = False
        return self._control.ask("PASV")


_PREPARED_FOR_S = 5.0
