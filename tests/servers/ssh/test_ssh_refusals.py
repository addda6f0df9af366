"""What strangers and clients try in vain (threats S1, S2, S6)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import replace
from typing import Any

import asyncssh
import pytest
from tests.servers.running import NAME, House
from tests.servers.ssh.running_ssh import SETTINGS, RunningSsh, serving_ssh
from tests.servers.ssh.sftp_client import PUT, READ, Failed, Sftp

from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import MAX_DATA_BYTES, MAX_PACKET_BYTES, Status, Type
from homeport.protocols.sftp.wire import string, text, u32, u64

WEAK = [
    {"kex_algs": ["diffie-hellman-group14-sha1"]},
    {"kex_algs": ["diffie-hellman-group14-sha256"]},
    {"kex_algs": ["ecdh-sha2-nistp256"]},
    {"encryption_algs": ["aes128-cbc"]},
    {"encryption_algs": ["3des-cbc"]},
    {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
    {"encryption_algs": ["aes128-ctr"], "mac_algs": ["umac-64@openssh.com"]},
    {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha2-256"]},
    {"server_host_key_algs": ["ssh-rsa"]},
]


@pytest.mark.parametrize("options", WEAK, ids=str)
def test_weak_algorithms_are_not_spoken(server: RunningSsh, options: dict[str, Any]) -> None:
    with pytest.raises((asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, asyncssh.DisconnectError, ValueError)):
        server.connected(**options)


GOOD = [
    ({}, "aes128-gcm@openssh.com"),
    ({"encryption_algs": ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"]}, "aes256-gcm@openssh.com"),
    ({"encryption_algs": ["chacha20-poly1305@openssh.com"]}, "chacha20-poly1305@openssh.com"),
    ({"encryption_algs": ["aes256-ctr"], "mac_algs": ["hmac-sha2-512-etm@openssh.com"]}, "aes256-ctr"),
    ({"kex_algs": ["diffie-hellman-group16-sha512"], "encryption_algs": ["aes128-gcm@openssh.com"]}, None),
    ({"kex_algs": ["curve25519-sha256"], "encryption_algs": ["aes128-gcm@openssh.com"]}, None),
]


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
@pytest.mark.parametrize(("options", "cipher"), GOOD, ids=range(len(GOOD)))
def test_good_ones_are_and_the_fast_cipher_is_preferred(
    server: RunningSsh, options: dict[str, Any], cipher: str | None
) -> None:
    with Sftp.of(server, **options) as sftp:
        chosen = sftp.connection.get_extra_info("send_cipher")
        assert chosen == (cipher or "aes128-gcm@openssh.com") or (not options and chosen.endswith("gcm@openssh.com"))


def test_key_exchange_is_strict(server: RunningSsh) -> None:
    with socket.create_connection((server.host, server.port)) as connection:
        connection.settimeout(5)
        connection.sendall(b"SSH-2.0-shy\r\n")  # and says no more: ours comes all the same
        said = b""
        while b"kex-strict-s-v00@openssh.com" not in said:
            piece = connection.recv(65536)
            assert piece
            said += piece
    assert said.startswith(b"SSH-2.0-Homeport\r\n")


GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"SSH-1.5-old\r\n",
    b"\0" * 9000,
    b"A" * 100_000,
    b"SSH-2.0-x\r\n" + struct.pack(">I", 2**31) + b"x" * 100,
    b"SSH-2.0-x\r\n" + os.urandom(2000),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_ends_its_own_connection_alone(server: RunningSsh, sftp: Sftp, garbage: bytes) -> None:
    with socket.create_connection((server.host, server.port)) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(garbage)
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
    assert sftp.list() == []


def test_nothing_is_forwarded(server: RunningSsh, sftp: Sftp) -> None:
    connection = sftp.connection

    async def tries() -> Any:
        return await asyncio.gather(
            connection.open_connection(server.host, server.port),
            connection.open_unix_connection("/run/x.sock"),
            connection.forward_remote_port("", 0, "localhost", 22),
            connection.forward_remote_path("/tmp/x", "/tmp/y"),
            connection.open_tap(),
            return_exceptions=True,
        )

    for outcome in server.clients.wait(tries()):
        assert isinstance(outcome, asyncssh.ChannelOpenError | asyncssh.ChannelListenError), outcome


def test_neither_agent_nor_screen_is_forwarded(server: RunningSsh) -> None:
    async def tries() -> None:
        connection = await server.connect()
        async with connection:
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process(subsystem="sftp", x11_forwarding=True, encoding=None)

    server.clients.wait(tries())


def test_connections_go_to_where_the_settings_say_and_nowhere_else(house: House) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    async def start() -> tuple[asyncio.Server, int]:
        listening = await asyncio.start_server(echo, "127.0.0.1", 0)
        return listening, listening.sockets[0].getsockname()[1]

    with socket.create_server(("127.0.0.1", 0)) as target:
        allowed = f"127.0.0.1:{target.getsockname()[1]}"
        with serving_ssh(house, replace(SETTINGS, forward_to=frozenset({allowed}))) as server, Sftp.of(server) as sftp:
            server.clients.wait(sftp.connection.open_connection(*allowed.split(":")[:1], target.getsockname()[1]))
            for host, port in (("localhost", target.getsockname()[1]), ("127.0.0.1", server.port)):
                with pytest.raises(asyncssh.ChannelOpenError):
                    server.clients.wait(sftp.connection.open_connection(host, port))


def test_channels_of_a_connection_are_bounded(server: RunningSsh, sftp: Sftp) -> None:
    more = [Sftp.on(server, sftp.connection) for _ in range(9)]
    with pytest.raises(asyncssh.ChannelOpenError, match="10 channels are open on this connection; close some first"):
        Sftp.on(server, sftp.connection)
    assert more[-1].list() == []


def test_another_subsystem_is_refused(server: RunningSsh, sftp: Sftp) -> None:
    with pytest.raises(asyncssh.ChannelOpenError):
        server.clients.wait(sftp.connection.create_process(subsystem="netconf"))


def test_a_terminal_is_for_those_who_may_run_commands(server: RunningSsh, sftp: Sftp) -> None:
    with pytest.raises(asyncssh.ChannelOpenError):
        server.clients.wait(sftp.connection.create_process(subsystem="sftp", term_type="xterm"))


# SFTP


def test_open_files_and_folders_are_bounded(house: House) -> None:
    with serving_ssh(house, replace(SETTINGS, max_handles=8)) as server, Sftp.of(server) as sftp:
        sftp.put("/file", b"x")
        handles = [sftp.open("/file", READ) for _ in range(8)]
        for deed in (lambda: sftp.open("/file", READ), lambda: sftp.names("/")):
            with pytest.raises(Failed, match="8 files and folders are open in this session; close some first"):
                deed()
        sftp.close(handles.pop())
        assert sftp.list() == ["file"]


@pytest.mark.parametrize("handle", [b"", b"\0\0\0\2", b"\0\0\0\1x", bytes(range(256))])
def test_a_handle_that_is_guessed_opens_nothing(sftp: Sftp, handle: bytes) -> None:
    sftp.put("/file", b"x")
    before = sftp.open("/file", READ)
    for ask in (
        lambda: sftp.read_at(handle, 0, 1),
        lambda: sftp.write_at(handle, 0, b"x"),
        lambda: sftp.close(handle),
        lambda: sftp.handle_stat(handle),
        lambda: sftp.ask(Type.READDIR, string(handle)),
    ):
        if handle == before:
            continue
        with pytest.raises(Failed, match="no file or folder is open under this handle") as caught:
            ask()
        assert caught.value.status is Status.FAILURE


def test_a_handle_is_used_for_what_it_was_opened_for(sftp: Sftp) -> None:
    sftp.put("/file", b"x")
    reading, folder = sftp.open("/file", READ), bytes(sftp.ask(Type.OPENDIR, text("/")).bytes_())
    writing = sftp.open("/new", PUT)
    with pytest.raises(Failed, match="it was not opened for writing"):
        sftp.write_at(reading, 0, b"x")
    with pytest.raises(Failed, match="it was not opened for reading"):
        sftp.read_at(writing, 0, 1)
    with pytest.raises(Failed, match="this handle is a folder's, not a file's"):
        sftp.read_at(folder, 0, 1)
    with pytest.raises(Failed, match="this handle is a file's, not a folder's"):
        sftp.ask(Type.READDIR, string(reading))


@pytest.mark.parametrize("offset", [2**63, 2**63 - 1, 2**64 - 1])
def test_no_file_reaches_so_far(sftp: Sftp, offset: int) -> None:
    handle = sftp.open("/file", PUT | READ)
    for ask in (lambda: sftp.write_at(handle, offset, b"xx"), lambda: sftp.read_at(handle, offset, 2**31)):
        with pytest.raises(Failed, match=r"^no file is \d+ bytes long$"):
            ask()
    sftp.close(handle)


def test_a_read_gives_no_more_than_its_bound(sftp: Sftp) -> None:
    sftp.put("/file", bytes(400_000))
    assert len(sftp.read_at(sftp.open("/file", READ), 0, 2**32 - 1)) == MAX_DATA_BYTES


def test_a_packet_that_is_too_long_ends_the_channel_alone(server: RunningSsh, sftp: Sftp) -> None:
    other = Sftp.on(server, sftp.connection)
    other.write(u32(MAX_PACKET_BYTES + 1))
    with pytest.raises((EOFError, asyncssh.Error)):
        other.packet()
    assert sftp.list() == []


def test_a_first_packet_that_is_none_ends_the_channel(server: RunningSsh, sftp: Sftp) -> None:
    process = server.clients.wait(sftp.connection.create_process(subsystem="sftp", encoding=None))

    async def talk() -> bytes:
        process.stdin.write(string(b"\3" + u32(1)))
        return bytes(await process.stdout.read())

    assert server.clients.wait(talk()) == b""
    assert sftp.list() == []


def test_malformed_and_unknown_requests_are_answered(sftp: Sftp) -> None:
    with pytest.raises(Failed, match="the packet ends too early") as caught:
        sftp.ask(Type.OPEN, u32(1000))
    assert caught.value.status is Status.BAD_MESSAGE
    with pytest.raises(Failed, match="a packet of type 77 is not supported here") as caught:
        sftp.ask(77)
    assert caught.value.status is Status.OP_UNSUPPORTED
    with pytest.raises(Failed, match=r"the extension 'nonsense@example.com' is not supported here"):
        sftp.extended("nonsense@example.com")
    paths = text("/etc/passwd"), text("/link")
    with pytest.raises(Failed, match="links are not made here: every name has its own bytes in the quota"):
        sftp.ask(Type.SYMLINK, *paths)
    with pytest.raises(Failed, match="links are not made here: every name has its own bytes in the quota"):
        sftp.extended("hardlink@openssh.com", *paths)


def test_ten_thousand_reads_of_one_who_does_not_read_are_all_answered_in_the_end(
    sftp: Sftp, server: RunningSsh
) -> None:
    sftp.put("/file", bytes(100_000))
    handle = sftp.open("/file", READ)
    count = 10_000
    burst = b"".join(
        string(bytes([Type.READ]) + u32(number) + string(handle) + u64(0) + u32(4096)) for number in range(count)
    )
    sftp.write(burst)
    for number in range(count):
        _, reader = sftp.answer(number)
        assert len(reader.bytes_()) == 4096


@pytest.mark.parametrize("name", ["a\\b", "nul.txt", "\u202e", "~", "%2e%2e", " ", "a" * 255, "\udcff\udcfe", "x\ny"])
def test_odd_names_are_names(sftp: Sftp, house: House, name: str) -> None:
    sftp.put(f"/{name}", b"x")
    assert sftp.list() == [name]
    assert (house.home() / name).read_bytes() == b"x"


@pytest.mark.parametrize("path", ["/" + "a" * 256, "/" + "a/" * 3000, "/nul\0", "/" + "x/" * 600])
def test_impossible_names_are_refused(sftp: Sftp, path: str) -> None:
    for ask in (lambda: sftp.put(path, b""), lambda: sftp.stat(path), lambda: sftp.list(path)):
        with pytest.raises(Failed) as caught:
            ask()
        assert caught.value.status is Status.FAILURE


@pytest.mark.parametrize("path", ["/../../etc", "..", "/..", "a/../../..", "//", ""])
def test_nobody_climbs_above_his_root(sftp: Sftp, path: str) -> None:
    shown = sftp.path(Type.REALPATH, text(path))
    assert shown in ("/", "/etc")
    for kind in (Type.RMDIR, Type.REMOVE):
        with pytest.raises(Failed):
            sftp.ask(kind, text(path))
    with pytest.raises(Failed):
        sftp.ask(Type.RENAME, text(path), text("/other"))


def test_links_that_lead_out_show_and_open_nothing(sftp: Sftp, house: House) -> None:
    for name, target in (("abs", "/etc/passwd"), ("up", "../../secret"), ("self", "self"), ("in", "file")):
        (house.home() / name).symlink_to(target)
    sftp.put("/file", b"content")
    for name in ("abs", "up"):
        for ask in (sftp.stat, sftp.get, lambda path: sftp.path(Type.READLINK, text(path))):
            with pytest.raises(Failed) as caught:
                ask(f"/{name}")
            assert caught.value.status in (Status.PERMISSION_DENIED, Status.NO_SUCH_FILE)
        found = sftp.stat(f"/{name}", Type.LSTAT)
        assert found.mode is not None
        assert found.mode >> 12 == 0o12
    assert sftp.path(Type.READLINK, text("/in")) == "file"
    assert sftp.get("/in") == b"content"
    listed = {name: attributes.mode for name, _, attributes in sftp.names("/")}
    assert {name for name, mode in listed.items() if mode and mode >> 12 == 0o12} == {"abs", "up", "self", "in"}
    sftp.ask(Type.REMOVE, text("/abs"))
    assert NAME not in sftp.list()


def test_a_fifo_stops_nobody(sftp: Sftp, server: RunningSsh, house: House) -> None:
    os.mkfifo(house.home() / "fifo")
    for flags in (READ, PUT):
        with pytest.raises(Failed, match="not a regular file"):
            sftp.open("/fifo", flags)
    sftp.set_stat("/fifo", Attributes())
    assert sftp.list() == ["fifo"]
