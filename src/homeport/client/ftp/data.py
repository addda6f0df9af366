"""Data connections: one for each transfer or listing, to the control connection's host and no other.

The one rule: an end is only an end when the server says so. Bytes may stop for many reasons; what makes a transfer
whole is the clean end of the stream (close_notify where it is private) and 226 on the control connection.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl

from homeport.client import tls
from homeport.client.errors import ConnectionFailed, Incompatible, ProtocolViolation, Stalled
from homeport.client.ftp.control import Control
from homeport.client.remote import Digest
from homeport.protocols.ftp import reply_reader
from homeport.protocols.ftp.reply_reader import ReplyError, ServerReply

_STORED = re.compile(r"SHA-256[ :=]+([0-9a-f]{64})\b", re.IGNORECASE)


class Data:
    """One data connection from its command to its final reply. Made by `open_data`."""

    def __init__(self, control: Control, connected: socket.socket, doing: str) -> None:
        self._control = control
        self._socket = connected
        self._doing = doing

    def receive_into(self, buffer: memoryview) -> int:
        """Some bytes; 0 at the stream's clean end. Raises ConnectionFailed at any other end."""
        try:
            return self._socket.recv_into(buffer)
        except OSError as failure:
            raise self._broken(failure) from failure

    def send(self, data: memoryview) -> None:
        """All of `data`. When the server has hung up, its reply on the control connection says why and is raised."""
        try:
            self._socket.sendall(data)
        except OSError as failure:
            broken = self._broken(failure)
            if not isinstance(broken, Stalled):
                self._close_socket()
                self._raise_verdict()
            raise broken from failure

    def finish(self) -> Digest | None:
        """End the stream cleanly and read the verdict; the digest that the server names in it, if it does."""
        self._end_stream()
        reply = self._control.accept(self._final_reply(), self._doing)
        found = _STORED.search(self._control.text(reply))
        return Digest("SHA-256", found[1].lower()) if found else None

    def abort(self) -> None:
        """End it early. The control connection goes too: what state the server is in would be a guess."""
        self._close_socket()
        self._control.close()

    def interrupt(self) -> None:
        """From another thread: whatever is waited for fails now."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

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
            self._close_socket()

    def _final_reply(self) -> ServerReply:
        reply = self._control.read()
        while reply.is_preliminary:
            reply = self._control.read()
        return reply

    def _raise_verdict(self) -> None:
        self._control.accept(self._final_reply(), self._doing)

    def _close_socket(self) -> None:
        self._socket.close()

    def _broken(self, failure: OSError) -> ConnectionFailed:
        if isinstance(failure, TimeoutError):
            return Stalled(f"no byte came through for {self._control.options.stall_timeout_s:.0f} s")
        return ConnectionFailed(f"the data connection broke: {tls.reason(failure)}")


def open_data(control: Control, verb: str, argument: str, *, offset: int = 0, doing: str) -> Data:
    """A data connection for `verb argument`, beginning at byte `offset`, up to the server's 1xx.

    Raises what the server's refusal means, ConnectionFailed, ProtocolViolation.
    """
    port = _passive_port(control)
    if offset:
        control.must("REST", str(offset), doing=doing)
    # The command travels while the connection is being made: the server answers it once it sees the connection.
    control.send(verb, argument)
    host = control.address[0]
    try:
        connected = socket.create_connection((host, port), control.options.connect_timeout_s)
    except OSError as failure:
        control.close()
        raise ConnectionFailed(f"cannot open a data connection to port {port}: {tls.reason(failure)}") from failure
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reply = control.accept(control.read(), doing)
        if not reply.is_preliminary:
            raise ProtocolViolation(f"the server ended {verb} before it began")
        return Data(control, _private(control, connected), doing)
    except BaseException:
        connected.close()
        raise


def _private(control: Control, connected: socket.socket) -> socket.socket:
    secured: socket.socket = connected
    if control.tls_context is not None:
        try:
            secured = tls.shake_hands(connected, control.tls_context, control.url.host, control.tls_session)
        except (ConnectionFailed, tls.NotVouchedFor) as failure:
            # The server says on the control connection what it disliked, a missing resumption for instance.
            control.accept(control.read(), "open a private data connection")
            raise ConnectionFailed(str(failure)) from failure
        assert isinstance(secured, ssl.SSLSocket)
        tls.same_server(secured, control.fingerprint)
    secured.settimeout(control.options.stall_timeout_s)
    return secured


def _passive_port(control: Control) -> int:
    """EPSV, which works everywhere, then PASV for servers that know no other."""
    reply = control.ask("EPSV")
    try:
        if reply.code == 229:
            return reply_reader.extended_passive_port(reply.text)
        if ":" in control.address[0]:
            raise Incompatible("the server knows no EPSV, which data connections over IPv6 need")
        reply = control.must("PASV", doing="open a data connection")
        return reply_reader.passive_port(reply.text)
    except ReplyError as failure:
        raise ProtocolViolation(str(failure)) from failure
