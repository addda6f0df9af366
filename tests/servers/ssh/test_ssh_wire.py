"""What is added to asyncssh's connection and channel, and the insides of asyncssh that this leans on."""

from __future__ import annotations

import inspect
import socket
import time
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import SSHPacket
from tests.servers.running import House
from tests.servers.ssh.running_ssh import RunningSsh
from tests.servers.ssh.sftp_client import READ, Sftp

from homeport.protocols.sftp.constants import MAX_DATA_BYTES, Type
from homeport.protocols.sftp.wire import string, u32, u64
from homeport.servers.ssh import algorithms
from homeport.servers.ssh.wire import Channel, Connection, encryption, key_exchange

PATIENCE_S = 60.0


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            asyncssh.SSHServerConnection,
            "_send_kexinit _cleanup _update_recv_pktlen process_packet send_packet validate_public_key "
            "log_sent_packet log_received_packet pause_writing resume_writing",
        ),
        (
            asyncssh.SSHServerChannel,
            "_flush_send_buf _pause_resume_writing log_sent_packet log_received_packet _process_env_request "
            "_process_exec_request _start_session",
        ),
        (SSHPacket, "get_full_payload get_byte get_bytes get_namelist get_string check_end"),
    ],
)
def test_asyncssh_has_what_is_used_of_it(owner: type, names: str) -> None:
    assert [name for name in names.split() if not callable(getattr(owner, name, None))] == []


def test_the_first_look_at_the_algorithms_goes_through_what_is_overridden() -> None:
    source = inspect.getsource(asyncssh.connection.SSHConnection)
    assert "result = handler.process_packet(pkttype, seq, packet)" in source
    assert source.count("self._send_kexinit()") >= 3
    assert "self._enc_algs" in source


def guests(server: RunningSsh) -> list[Connection]:
    return [guest._connection for guest in server.server._arrivals.clients if guest._connection is not None]


def test_no_packet_says_nothing(server: RunningSsh, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    send = asyncssh.SSHServerConnection.send_packet

    def spy(self: Any, kind: int, *args: bytes, **options: Any) -> None:
        if isinstance(self, Connection):
            sent.append(kind)
        send(self, kind, *args, **options)

    monkeypatch.setattr(asyncssh.SSHServerConnection, "send_packet", spy)
    with Sftp.of(server) as sftp:
        sftp.put("/file", b"x" * 100_000)
    assert len(sent) > 10
    assert MSG_IGNORE not in sent


def test_variables_are_few_and_short(server: RunningSsh) -> None:
    many = {f"V{number}": "x" for number in range(200)}
    with Sftp.of(server) as sftp:
        Sftp.on(server, sftp.connection, env={"LARGE": "x" * 1024, "SMALL": "y" * 1000, **many})
        (connection,) = guests(server)
        kept = connection._channels[max(connection._channels)]._env
        assert len(kept) == 64
        assert (kept[b"SMALL"], kept.get(b"LARGE")) == (b"y" * 1000, None)


def test_who_does_not_read_fills_no_memory(server: RunningSsh, house: House) -> None:
    """A client that announces a window of 4 GiB, asks for 2.5 GB, and reads nothing from its socket."""
    with Sftp.of(server) as sftp:
        (house.home() / "file").write_bytes(bytes(MAX_DATA_BYTES))
        greedy = Sftp.on(server, sftp.connection, window=2**32 - 1)
        handle = greedy.open("/file", READ)
        transport = sftp.connection._transport
        server.clients.loop.call_soon_threadsafe(transport.pause_reading)
        read = bytes([Type.READ]) + u32(1) + string(handle) + u64(0) + u32(MAX_DATA_BYTES)
        greedy.write(string(read) * 10_000)
        (connection,) = guests(server)
        give_up_at = time.monotonic() + PATIENCE_S
        while not connection.stuffed and time.monotonic() < give_up_at:
            time.sleep(0.01)
        assert connection.stuffed
        time.sleep(0.3)  # for what would pile up to pile up

        async def held() -> int:
            assert connection._transport is not None
            channels = [channel for channel in connection._channels.values() if isinstance(channel, Channel)]
            return connection._transport.get_write_buffer_size() + sum(channel._send_buf_len for channel in channels)

        assert 0 < server.wait(held()) < 8 * 2**20
        with Sftp.of(server) as other:  # everybody else is served
            assert other.stat("/file").size == MAX_DATA_BYTES
        server.clients.loop.call_soon_threadsafe(transport.resume_reading)
        for _ in range(100):
            assert len(greedy.answer(1)[1].bytes_()) == MAX_DATA_BYTES


def test_a_shy_client_is_told_the_algorithms_all_the_same(server: RunningSsh) -> None:
    with socket.create_connection((server.host, server.port)) as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(b"SSH-2.0-shy\r\n")
        said = b""
        while b"aes128-ctr" not in said:
            piece = connection.recv(65536)
            assert piece
            said += piece
    assert b"chacha20-poly1305@openssh.com" in said
    assert b"-cbc" not in said
    assert b"sha1" not in said


def test_ciphers_for_whom() -> None:
    every = [name.encode() for name in algorithms.ENCRYPTION]
    assert algorithms.offer_for(every) == [b"aes128-gcm@openssh.com", b"aes256-gcm@openssh.com"]
    assert algorithms.offer_for([b"aes256-gcm@openssh.com"]) == [b"aes256-gcm@openssh.com"]
    assert algorithms.offer_for([b"chacha20-poly1305@openssh.com"]) == every
    assert algorithms.offer_for([]) == every


def test_what_the_libraries_lack_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from homeport.servers.ssh import wire

    assert "curve25519-sha256" in key_exchange()
    assert set(key_exchange()) <= set(algorithms.KEY_EXCHANGE)
    assert encryption() == list(algorithms.ENCRYPTION)
    monkeypatch.setattr(wire, "get_kex_algs", lambda: [b"curve25519-sha256"])
    monkeypatch.setattr(wire, "get_encryption_algs", lambda: [b"aes128-ctr"])
    assert key_exchange() == ["curve25519-sha256"]
    assert encryption() == ["aes128-ctr"]
