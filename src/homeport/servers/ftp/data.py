"""One data connection: a non-blocking socket, with TLS on it where the session is private.

The one rule: how it ends is never guessed. A clean end, an end without close_notify and a reset are three things, and
only the first one ends an upload well.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import cast

from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.addresses import Ip, family_of
from homeport.servers.readiness import Side, Waits, Woken

# The interpreter's own class, without the layer above it, which costs as much as a system call or two.
Socket = socket.SocketType

# Something follows at once, if only the end: the last bytes and the FIN then share a packet, and wake the client once.
FOLLOWED: int = getattr(socket, "MSG_MORE", 0)

_CUT = "UNEXPECTED_EOF_WHILE_READING"  # a FIN without close_notify, as OpenSSL calls it; a reset has no such name


# What has come in and was not read yet is lost with the process, and the peer must send it again. The kernel counts its
# own overhead in. A long line needs more to be kept busy, and there the kernel's own bound stays: 2 MiB, which is what
# is left for bytes at the least, are enough for 200 MB/s over a round trip of 10 ms.
_UNREAD_BYTES = 3584 * 1024
_LONG_ROUND_TRIP_US = 10_000
_ROUND_TRIP_AT = 68  # tcpi_rtt in struct tcp_info of linux/tcp.h


def bound_unread(connection: Socket) -> None:
    """Let the kernel hold no more than `_UNREAD_BYTES` of a new connection unread, unless it is a long line."""
    if not _can_bound():
        return
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP_AT + 4)
    if struct.unpack_from("=I", told, _ROUND_TRIP_AT)[0] < _LONG_ROUND_TRIP_US:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BYTES // 2)  # Linux doubles it
        # The window does not follow a bound that is set; without this it stays at its small beginning.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, _UNREAD_BYTES)


@functools.cache
def _can_bound() -> bool:
    """Whether net.core.rmem_max is no lower: else that would be the bound, and a long line would starve."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BYTES // 2)
        return probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= _UNREAD_BYTES


class DataError(Exception):
    """A data connection that cannot be had or has ended badly; its text goes into the reply. See the two below."""


class DataRefused(DataError):
    """There is no data connection: 425, or 522 when its protection is what is missing."""

    def __init__(self, text: str, code: int = 425) -> None:
        super().__init__(text)
        self.code = code


class DataLost(DataError):
    """The data connection has ended before its time: 426."""


class NotReady(Exception):
    """The socket must become ready for `side` first. Carries no news: the same call is made again then."""

    def __init__(self, side: Side) -> None:
        super().__init__(side)
        self.side = side


class DataConnection:
    """The bytes of one transfer. Its calls never block; they raise NotReady instead, and DataLost when it is over."""

    __slots__ = ("_failed", "_socket", "_tls", "fd", "require_close_notify")

    def __init__(self, connection: Socket, *, require_close_notify: bool = True) -> None:
        self._socket: Socket = connection
        self._tls: ssl.SSLSocket | None = None
        self._failed: OSError | None = None
        self.fd = connection.fileno()
        self.require_close_notify = require_close_notify

    @property
    def is_private(self) -> bool:
        return self._tls is not None

    @property
    def resumed(self) -> bool:
        """Whether its TLS session continues that of the control connection. After the handshake."""
        return self._tls is not None and bool(self._tls.session_reused)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """TLS from here on; call `shake_hands` until it stops raising NotReady."""
        try:
            self._tls = context.wrap_socket(
                cast(socket.socket, self._socket),  # of which it asks what both classes have
                server_side=True,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
        except OSError as error:
            raise DataLost("The data connection was closed before its TLS handshake.") from error
        self._socket = self._tls

    def shake_hands(self) -> None:
        """One step of the handshake. Raises DataRefused when there cannot be one."""
        if self._tls is None:
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            raise NotReady(Side.READ) from None
        except ssl.SSLWantWriteError:
            raise NotReady(Side.WRITE) from None
        except (OSError, ValueError) as error:
            raise DataRefused("The TLS handshake of the data connection failed; with PROT P it must be TLS.") from error

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Send what fits now; how much that was, at least one byte. `flags`: FOLLOWED, or 0."""
        try:
            return self._socket.send(data, flags) if self._tls is None else _write(self._tls, data)
        except BlockingIOError:
            raise NotReady(Side.WRITE) from None
        except OSError as error:
            raise _not_ready(error) or _lost(error) from error

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Let the kernel send `count` bytes of a file; how many went, 0 at the file's end. Never on a private one."""
        if self._tls is not None:
            raise RuntimeError("sendfile on a TLS socket would send clear text")
        try:
            return os.sendfile(self.fd, fd, offset, count)
        except BlockingIOError:
            raise NotReady(Side.WRITE) from None
        except OSError as error:
            raise _lost(error) from error

    def receive_into(self, buffer: memoryview) -> int:
        """Receive what is there into `buffer`; 0 at the clean end."""
        try:
            return self._socket.recv_into(buffer) if self._tls is None else self._read(self._tls, buffer)
        except BlockingIOError:
            raise NotReady(Side.READ) from None
        except OSError as error:
            if waiting := _not_ready(error):
                raise waiting from None
            # A reset carries no reason here; a peer that merely forgot its close_notify does.
            if not self.require_close_notify and getattr(error, "reason", "") == _CUT:
                return 0
            raise _lost(error) from error

    def has_ended(self) -> bool:
        """Whether nothing more comes, for the clean end is here already; False where only receiving can tell."""
        if self._tls is not None:
            return False
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return False  # not yet, or no clean end

    def end(self, *, must_arrive: bool) -> None:
        """Say that nothing follows: a close_notify where private, then a FIN.

        After a download the client must hear it (`must_arrive`: DataLost when it cannot); after an upload it may have
        gone.
        """
        if self._tls is None and not must_arrive:
            return  # `close` says so too
        try:
            if self._tls is not None:
                self._end_tls(self._tls)
                must_arrive = False  # it has; the FIN behind it says nothing new
            # Not the SSLSocket's own, which would forget its TLS state.
            Socket.shutdown(self._socket, socket.SHUT_WR)
        except OSError as error:
            if must_arrive:
                raise _lost(error) from error

    def interrupt(self) -> None:
        """Make every call on it, also one under way in another thread, end soon. It can only be closed afterwards."""
        with contextlib.suppress(OSError):
            Socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the descriptor. Nobody may be waiting for it."""
        try:
            self._socket.close()
        except OSError:
            return  # the peer's reset, of which nobody need know any more

    def bound_unread(self) -> None:
        """See the function."""
        with contextlib.suppress(OSError):  # whoever has gone again sends no more
            bound_unread(self._socket)

    def _read(self, tls: ssl.SSLSocket, buffer: memoryview) -> int:
        """As many records as fit: OpenSSL gives one, 16 KiB, at a time. What stopped it is raised by the next call."""
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        filled, size = 0, len(buffer)
        read = cast(Callable[[int, memoryview], int], tls.read)
        try:
            while filled < size and (count := read(size - filled, buffer[filled:])):
                filled += count
        except ssl.SSLWantReadError:
            if not filled:
                raise
        except OSError as error:  # OpenSSL says it once
            if not filled:
                raise
            self._failed = error
        return filled

    def _end_tls(self, tls: ssl.SSLSocket) -> None:
        try:
            ssl.SSLSocket.unwrap(tls)
        except ssl.SSLWantReadError:
            return  # ours is out; theirs is waited for by Farewells
        except ssl.SSLWantWriteError:
            raise NotReady(Side.WRITE) from None
        except ssl.SSLError as error:
            if error.reason not in _WHILE_READING:
                raise


# What unwrap raises when our close_notify is out and the client does not answer it as it should: no loss any more.
_WHILE_READING = frozenset({_CUT, "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"})


class Farewells:
    """Connections whose last word is said, waiting for the client's.

    Closing a private one at once would answer the client's own close_notify with a reset, and some clients then lose
    the tail of what they have not read yet. A reset in the middle of a refused upload comes before the reply on the
    control connection is read: the client takes it for a broken line, and begins the same upload again, and again.
    """

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._waiting: set[Callable[[], None]] = set()

    def add(self, connection: DataConnection, linger_s: float) -> None:
        """Close `connection` when the client has answered our close_notify, or after `linger_s` seconds."""
        finish = self._until(connection, linger_s)
        asyncio.get_running_loop().add_reader(connection.fd, finish)

    def hold(self, connection: DataConnection, linger_s: float) -> None:
        """Close `connection` after `linger_s` seconds, in which nothing is read of what its client still sends."""
        self._until(connection, linger_s)

    def _until(self, connection: DataConnection, linger_s: float) -> Callable[[], None]:
        loop = asyncio.get_running_loop()

        def finish() -> None:
            self._waiting.discard(finish)
            deadline.discard()
            loop.remove_reader(connection.fd)
            connection.close()

        deadline = self._deadlines.new(finish)
        deadline.set(linger_s)
        self._waiting.add(finish)
        return finish

    def close(self) -> None:
        """Wait no longer for anybody."""
        for finish in list(self._waiting):
            finish()


async def connect_out(local: Ip, target: Ip, port: int, waits: Waits, timeout_s: float) -> socket.socket:
    """An active data connection from `local` to the client. Raises DataRefused."""
    connection = socket.socket(family_of(target), socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.bind((str(local), 0))
        failed = connection.connect_ex((str(target), port))
        if failed == errno.EINPROGRESS:
            if await waits.ready(connection.fileno(), Side.WRITE, timeout_s) is not Woken.READY:
                failed = errno.ETIMEDOUT
            else:
                failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
    except OSError as error:
        connection.close()
        raise DataRefused(f"Cannot connect to your port {port}: {os.strerror(error.errno or 0)}.") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _write(tls: ssl.SSLSocket, data: bytes | memoryview) -> int:
    """As many records as fit: OpenSSL sends one, 16 KiB, at a time."""
    sent, view = 0, memoryview(data)
    try:
        while sent < len(view):
            sent += tls.write(view[sent:])
    except ssl.SSLWantWriteError:
        if not sent:
            raise
    return sent


def _not_ready(error: OSError) -> NotReady | None:
    if isinstance(error, ssl.SSLWantReadError):
        return NotReady(Side.READ)
    if isinstance(error, ssl.SSLWantWriteError):
        return NotReady(Side.WRITE)
    return None


def _lost(error: OSError) -> DataLost:
    if isinstance(error, ssl.SSLEOFError):
        return DataLost("The data connection ended without close_notify: it may have been cut.")
    if isinstance(error, ssl.SSLError):
        return DataLost("TLS on the data connection failed.")
    return DataLost(f"The data connection was lost ({errno.errorcode.get(error.errno or 0, 'unknown')}).")
