"""asyncssh's server connection and channel, with what they lack for a server that strangers reach.

The one rule: everything that leans on asyncssh's insides is in this file, and tests/servers/ssh/test_ssh_wire.py says
what it leans on. Eight things are added:

- Somebody who does not read from his connection fills no memory: asyncssh minds the window that the peer announced, up
  to 4 GiB, and not whether the socket still takes anything.
- The ciphers are offered when it is known what the client can (see `algorithms.offer_for`).
- Whoever cannot be served hears why: he is told when what he says first has been read, for a connection that is closed
  with unread bytes is reset, and the words on their way are lost.
- No empty packet goes before every packet: that was against a weakness of CBC, which is not spoken here.
- Keys prove themselves by the signatures that were announced alone.
- Whoever wants to log in asks a bounded number of times, so that asking for ever keeps no processor busy.
- A client's variables are few and short: asyncssh keeps all that come, whether or not anything is ever run.
- A command's bytes need not be UTF-8, as the names of files need not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import asyncssh
from asyncssh.constants import MSG_IGNORE, MSG_KEXINIT, MSG_USERAUTH_REQUEST
from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.packet import SSHPacket

from homeport.servers.ssh.algorithms import ENCRYPTION, KEY_EXCHANGE, SIGNATURES, offer_for

WINDOW_BYTES = 4 * 1024 * 1024  # what a client may send on a channel before it is read
PACKET_BYTES = 128 * 1024
_UNSENT_BYTES = 1024 * 1024  # for one connection, in this process
_SHY_S = 0.2  # for clients that do not send their algorithms before they have seen ours
_QUESTIONS = 128  # of one connection that wants to log in; a key that fits takes two, any other one
_VARIABLES, _VARIABLE_BYTES = 64, 1024  # of one channel; and of a name with its value
_COOKIE_BYTES = 16
_NAMELISTS_BEFORE_CIPHERS = 2


class Connection(asyncssh.SSHServerConnection):
    """One client."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: asyncssh.SSHServerConnectionOptions) -> None:
        super().__init__(loop, options)
        self.stuffed = False  # the client does not read
        self._questions = 0
        self._shy: asyncio.TimerHandle | None = None
        self._introduced = False
        self._refuse: Callable[[], None] | None = None

    def turn_away(self, refuse: Callable[[], None]) -> None:
        """Call `refuse`, which disconnects, in place of saying which algorithms are spoken here."""
        self._refuse = refuse
        self._shy = self._loop.call_later(_SHY_S, self._introduce)

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        cast(asyncio.Transport, transport).set_write_buffer_limits(_UNSENT_BYTES)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.stuffed = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.stuffed = False
        for channel in list(self._channels.values()):
            if isinstance(channel, Channel):
                channel.flush()

    # What asyncssh says

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send all packets but those that say nothing."""
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, handler=handler)

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Refuse what asyncssh would still take: an RSA key may sign with SHA-1 there, whatever was announced."""
        if signature and SSHPacket(signature).get_string().decode("ascii", "replace") not in SIGNATURES:
            return False
        return await super().validate_public_key(username, key_data, msg, signature)

    def log_sent_packet(self, *_: object, **__: object) -> None:
        """Nobody reads along."""

    log_received_packet = log_sent_packet

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        """Look into the client's algorithms before ours are told; count what it asks before it is in."""
        if pkttype == MSG_USERAUTH_REQUEST:
            self._questions += 1
            if self._questions > _QUESTIONS:
                raise asyncssh.ProtocolError("too many requests to log in")
        if pkttype == MSG_KEXINIT and self._refuse is not None:
            self._introduce()
            return True
        if pkttype == MSG_KEXINIT and not self._introduced:
            offered = offer_for(_ciphers_in(packet))
            self._enc_algs = [name for name in self._enc_algs if name in offered]
            self._introduce()
        return super().process_packet(pkttype, pktid, packet)

    def _send_kexinit(self) -> None:
        if self._introduced:
            super()._send_kexinit()
        elif self._shy is None:
            self._shy = self._loop.call_later(_SHY_S, self._introduce)

    def _introduce(self) -> None:
        if not self._introduced and self._transport is not None:
            self._introduced = True
            (self._refuse or super()._send_kexinit)()
        if self._shy is not None:
            self._shy.cancel()

    def _cleanup(self, exc: Exception | None) -> None:
        if self._shy is not None:
            self._shy.cancel()
        super()._cleanup(exc)

    def make_channel(self) -> Channel:
        """The channel for a session that the client has asked for; bytes in and out."""
        self._update_recv_pktlen(PACKET_BYTES)
        return Channel(self, self._loop)


class Channel(asyncssh.SSHServerChannel[bytes]):
    """One session's channel."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            connection,
            loop,
            allow_pty=True,
            line_editor=False,
            line_echo=False,
            line_history=0,
            max_line_length=1024,
            encoding=None,
            errors="strict",
            window=WINDOW_BYTES,
            max_pktsize=PACKET_BYTES,
        )

    log_sent_packet = Connection.log_sent_packet
    log_received_packet = Connection.log_sent_packet

    def flush(self) -> None:
        """The connection takes bytes again."""
        if self._send_chan is not None and self._session is not None:
            self._flush_send_buf()

    def _process_env_request(self, packet: SSHPacket) -> bool:
        name, value = packet.get_string(), packet.get_string()
        packet.check_end()
        kept = len(name) + len(value) <= _VARIABLE_BYTES and (name in self._env or len(self._env) < _VARIABLES)
        if kept:
            self._env[name] = value
        return kept

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        command = packet.get_string()
        packet.check_end()
        return bool(self._start_session(command=command.decode("utf-8", "surrogateescape")))

    def _flush_send_buf(self) -> None:
        if isinstance(self._conn, Connection) and self._conn.stuffed:
            self._pause_resume_writing()
        else:
            super()._flush_send_buf()


def key_exchange() -> list[str]:
    """Ours, as far as the libraries on this machine have them: the newest and the oldest need not be there."""
    return [name for name in KEY_EXCHANGE if name.encode() in get_kex_algs()]


def encryption() -> list[str]:
    """As `key_exchange`."""
    return [name for name in ENCRYPTION if name.encode() in get_encryption_algs()]


def _ciphers_in(packet: SSHPacket) -> list[bytes]:
    """Those that the client offers, in either direction, in its KEXINIT (RFC 4253 section 7.1)."""
    look = SSHPacket(packet.get_full_payload())
    look.get_byte()
    look.get_bytes(_COOKIE_BYTES)
    for _ in range(_NAMELISTS_BEFORE_CIPHERS):
        look.get_namelist()
    up, down = look.get_namelist(), look.get_namelist()
    return [name for name in up if name in down]
