"""The way in through SSH: passwords, keys, their limits; and how sessions end."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_USERAUTH_FAILURE, MSG_USERAUTH_REQUEST
from asyncssh.packet import Boolean, String
from tests.servers.running import LENIENT, NAME, PASSWORD, House
from tests.servers.ssh.running_ssh import SETTINGS, RunningSsh, serving_ssh
from tests.servers.ssh.sftp_client import PUT, Sftp

from homeport.core.login_guard import GuardSettings
from homeport.core.sessions import SessionLimits
from homeport.servers.ssh.settings import SshTimes

KEY = asyncssh.generate_private_key("ssh-ed25519")
PATIENCE_S = 60.0


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def audited(house: House, event: str) -> list[dict[str, Any]]:
    house.services.audit.flush()
    lines = (house.root / "audit.jsonl").read_text().splitlines()
    return [found for found in map(json.loads, lines) if found["event"] == event]


def add_key(server: RunningSsh, key: asyncssh.SSHKey = KEY, before: str = "") -> None:
    line = key.export_public_key().decode()
    server.keys.add(server.house.accounts.get(NAME), before + line)


def test_a_password_opens_the_account_and_all_is_noted(server: RunningSsh, house: House) -> None:
    with Sftp.of(server) as sftp:
        assert sftp.list() == []
        (record,) = server.sessions.snapshot()
        assert (record.account, record.protocol, record.peer) == (NAME, "ssh", "127.0.0.1")
    until(lambda: not len(server.sessions))
    (came,) = audited(house, "login")
    assert (came["account"], came["protocol"]) == (NAME, "ssh")
    assert came["tls"].startswith("SSH aes")
    assert len(audited(house, "logout")) == 1


@pytest.mark.parametrize(("name", "password"), [(NAME, "wrong"), ("nobody", PASSWORD), ("../x", ""), ("a" * 900, "x")])
def test_a_wrong_name_or_password_opens_nothing(server: RunningSsh, name: str, password: str) -> None:
    with pytest.raises(asyncssh.PermissionDenied, match="Permission denied for user"):
        server.connected(name, password)


def test_a_key_opens_the_account_and_its_use_is_noted(server: RunningSsh) -> None:
    add_key(server)
    with Sftp.of(server, NAME, None, client_keys=[KEY]) as sftp:
        assert sftp.list() == []
    (kept,) = server.keys.of(server.house.accounts.get(NAME).id)
    assert kept.used_at is not None


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"])
def test_keys_of_other_kinds_do_as_well(server: RunningSsh, kind: str) -> None:
    key = asyncssh.generate_private_key(kind)
    add_key(server, key)
    with Sftp.of(server, NAME, None, client_keys=[key]):
        pass


def test_rsa_with_sha1_is_not_spoken(server: RunningSsh) -> None:
    key = asyncssh.generate_private_key("ssh-rsa")
    add_key(server, key)
    with pytest.raises(asyncssh.PermissionDenied):
        server.connected(NAME, None, client_keys=[key], signature_algs=["ssh-rsa"])


def test_another_key_or_another_name_opens_nothing(server: RunningSsh) -> None:
    add_key(server)
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for name, key in ((NAME, stranger), ("nobody", KEY)):
        with pytest.raises(asyncssh.PermissionDenied):
            server.connected(name, None, client_keys=[key])


def test_a_key_for_another_network_opens_nothing(server: RunningSsh) -> None:
    add_key(server, before='from="192.0.2.0/24" ')
    with pytest.raises(asyncssh.PermissionDenied):
        server.connected(NAME, None, client_keys=[KEY])


def test_keys_that_do_not_fit_are_no_failed_logins(house: House) -> None:
    house.guard = GuardSettings(first_delay_s=0.0, failures_before_ban=2)
    wrong = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(10)]
    with serving_ssh(house) as server:
        add_key(server)
        with Sftp.of(server, NAME, None, client_keys=[*wrong, KEY]):
            pass


def test_too_many_keys_end_the_connection(house: House) -> None:
    wrong = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(5)]
    with serving_ssh(house, replace(SETTINGS, max_key_offers=3)) as server:
        add_key(server)
        with pytest.raises(asyncssh.DisconnectError, match="too many keys were offered; name the right one with -i"):
            server.connected(NAME, None, client_keys=[*wrong, KEY])
    assert audited(house, "login refused")[0]["reason"] == "too many keys"


class Guesser(asyncssh.SSHClient):
    """Tries one password after another."""

    def __init__(self) -> None:
        self.tried = 0

    def password_auth_requested(self) -> str:
        self.tried += 1
        return f"guess {self.tried}"


class Listener(asyncssh.SSHClient):
    """Hears why the connection ended."""

    reason: Exception | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.reason = exc


def test_so_many_wrong_passwords_end_the_connection(server: RunningSsh, house: House) -> None:
    guesser = Guesser()
    with pytest.raises(asyncssh.DisconnectError, match="too many failed logins on one connection"):
        server.connected(NAME, None, client_factory=lambda: guesser)
    assert guesser.tried == 4
    assert [found["reason"] for found in audited(house, "login refused")] == ["wrong password"] * 4


class Hasty(asyncssh.connection.SSHClientConnection):
    """Says all that it has to say without waiting for an answer."""

    requests: tuple[tuple[bytes, ...], ...] = ()
    _packet_handlers = asyncssh.connection.SSHClientConnection._packet_handlers | {
        MSG_USERAUTH_FAILURE: lambda *_: None
    }

    def try_next_auth(self, **_: Any) -> None:
        for method in self.requests:
            self.send_packet(MSG_USERAUTH_REQUEST, String(NAME), String("ssh-connection"), *method)
        self.requests = ()


def reason_for(server: RunningSsh, requests: Sequence[tuple[bytes, ...]]) -> str:
    """Why the server ends a connection that says these."""
    listener = Listener()

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        options = asyncssh.SSHClientConnectionOptions(
            client_factory=lambda: listener, username=NAME, known_hosts=None, config=None, agent_path=None
        )
        connection = Hasty(loop, options)
        connection.requests = tuple(requests)
        await loop.create_connection(lambda: connection, server.host, server.port)
        await connection.wait_closed()

    server.clients.wait(talk())
    return str(listener.reason)


def test_passwords_without_waiting_for_the_answers_are_noted_and_counted_too(server: RunningSsh, house: House) -> None:
    guesses = [(String("password"), Boolean(False), String(f"guess {number}")) for number in range(20)]
    reason_for(server, guesses)
    until(lambda: (house.root / "audit.jsonl").exists() and len(audited(house, "login refused")) == 4)


def test_nobody_asks_for_ever(server: RunningSsh) -> None:
    assert "too many requests to log in" in reason_for(server, [(String("none"),)] * 129)


def test_who_is_banned_hears_for_how_long(house: House) -> None:
    house.guard = replace(LENIENT, failures_before_ban=2, ban_s=60.0)
    with serving_ssh(house) as server:
        for _ in range(2):
            with pytest.raises((asyncssh.PermissionDenied, asyncssh.DisconnectError)):
                server.connected(NAME, "wrong")
        with pytest.raises(asyncssh.DisconnectError, match=r"too many failed logins; try again in \d+ s"):
            server.connected(NAME, PASSWORD)


def test_passwords_may_be_switched_off(house: House) -> None:
    with serving_ssh(house, replace(SETTINGS, passwords=False)) as server:
        add_key(server)
        with pytest.raises(asyncssh.PermissionDenied):
            server.connected(NAME, PASSWORD)
        with Sftp.of(server, NAME, None, client_keys=[KEY]):
            pass


def test_a_disabled_account_is_closed_to_keys_too(server: RunningSsh, house: House) -> None:
    add_key(server)
    house.accounts.update(NAME, enabled=False)
    for options in ({"password": PASSWORD}, {"password": None, "client_keys": [KEY]}):
        with pytest.raises(asyncssh.PermissionDenied):
            server.connected(NAME, **options)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (SessionLimits(per_account=1), r"too many sessions for this account \(limit 1\); close one and try again"),
        (SessionLimits(per_address=1), r"too many sessions for your address \(limit 1\); close one and try again"),
        (SessionLimits(total=1), r"too many sessions for the server \(limit 1\); close one and try again"),
    ],
)
def test_limits_of_sessions_are_said(house: House, limits: SessionLimits, text: str) -> None:
    with serving_ssh(house, limits=limits) as server, Sftp.of(server):

        async def second() -> None:
            connection = await server.connect(client_factory=lambda: client)
            await connection.wait_closed()
            raise client.reason or AssertionError

        client = Listener()
        with pytest.raises(asyncssh.DisconnectError, match=text):
            server.clients.wait(second())
        until(lambda: len(server.sessions) == 1)


def test_newcomers_are_bounded(house: House) -> None:
    with serving_ssh(house, replace(SETTINGS, max_logging_in=2)) as server:
        address = (server.host, server.port)
        with socket.create_connection(address), socket.create_connection(address):
            until(lambda: len(server.sessions) == 2)
            with pytest.raises(asyncssh.DisconnectError, match="busy with other logins; try again in a moment"):
                server.connected()
        until(lambda: not len(server.sessions))
        with Sftp.of(server):
            pass


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-x\r\n"], ids=["nothing", "a version and no more"])
def test_who_is_turned_away_and_says_too_little_is_told_at_once_all_the_same(house: House, said: bytes) -> None:
    with serving_ssh(house, replace(SETTINGS, max_logging_in=0)) as server:
        with socket.create_connection((server.host, server.port)) as connection:
            connection.settimeout(PATIENCE_S)
            connection.sendall(said)
            heard = b""
            while part := connection.recv(4096):
                heard += part
        assert heard.startswith(b"SSH-2.0-Homeport\r\n")
        assert b"the server is busy with other logins" in heard
        until(lambda: not server.server._arrivals.clients)


def test_who_does_not_log_in_is_cut_off(house: House) -> None:
    times = SshTimes(login_s=0.3, keepalive_s=0.0)
    with serving_ssh(house, replace(SETTINGS, times=times)) as server:
        with socket.create_connection((server.host, server.port)) as connection:
            connection.settimeout(PATIENCE_S)
            while connection.recv(4096):
                pass
        until(lambda: not len(server.sessions))


def test_a_connection_without_a_channel_is_ended(house: House) -> None:
    times = SshTimes(idle_s=0.2, keepalive_s=0.0)
    with serving_ssh(house, replace(SETTINGS, times=times)) as server:
        with Sftp.of(server) as sftp:
            time.sleep(0.5)
            assert sftp.list() == []
        connection = server.connected()
        server.clients.wait(connection.wait_closed())


@pytest.mark.parametrize("way", ["kick", "drain"])
def test_a_session_is_ended_from_outside_and_what_came_is_kept(house: House, way: str) -> None:
    with serving_ssh(house) as server:
        with Sftp.of(server) as sftp:
            sftp.write_at(sftp.open("/file", PUT), 0, b"x" * 1000)
            if way == "kick":
                assert server.sessions.kick(NAME, "the administrator ended this session") == 1
            else:
                server.wait(server.server.drain(0.05))
                server.wait(server.server.close())
            server.clients.wait(sftp.connection.wait_closed())
        until(lambda: not len(server.sessions))
        account = house.accounts.get(NAME)
        (stage,) = house.services.stages.of(account.id)
        assert stage.size == 1000
    (left,) = audited(house, "logout")
    assert left["reason"] == ("the administrator ended this session" if way == "kick" else "the server is going down")


def test_a_drained_server_ends_idle_connections_at_once(house: House) -> None:
    with serving_ssh(house) as server:
        connection = server.connected()
        until(lambda: len(server.sessions) == 1)
        server.wait(asyncio.wait_for(server.server.drain(PATIENCE_S), PATIENCE_S / 2))
        server.clients.wait(connection.wait_closed())


def test_new_settings_hold_for_the_next_client(server: RunningSsh) -> None:
    server.server.reload(replace(SETTINGS, passwords=False))
    with pytest.raises(asyncssh.PermissionDenied):
        server.connected()


def test_a_unix_socket_is_an_address_too(house: House, tmp_path: Path) -> None:
    path = tmp_path / "ssh.sock"
    with serving_ssh(house, replace(SETTINGS, listen=("127.0.0.1", f"unix:{path}"))) as server:
        add_key(server, before='from="127.0.0.1" ')
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))

            async def log_in(**options: Any) -> None:
                client = await asyncssh.connect(
                    sock=connection, username=NAME, known_hosts=None, config=None, agent_path=None, **options
                )
                async with client:
                    assert [record.peer for record in server.sessions.snapshot()] == ["unix"]

            server.clients.wait(log_in(password=PASSWORD, client_keys=None))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_lives_on_both_loops(house: House, loop: str) -> None:
    with serving_ssh(house, loop=loop) as server, Sftp.of(server) as sftp:
        sftp.put("/file", b"x" * 300_000)
        assert sftp.get("/file") == b"x" * 300_000
