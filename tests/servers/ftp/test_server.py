from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.servers.ftp.conftest import Serve
from tests.servers.loops import Run
from tests.servers.running import (
    NAME,
    PASSWORD,
    SETTINGS,
    House,
    RunningServer,
    authority,
    certificate_in,
    trusting,
)

from homeport.core.sessions import Sessions
from homeport.servers.core_access import CoreAccess
from homeport.servers.ftp.server import FtpServer
from homeport.servers.ftp.settings import FtpSettings
from homeport.servers.tls import CertificateFiles

nothing: Any = None


def bare(settings: FtpSettings, certificate: CertificateFiles | None = None) -> FtpServer:
    core = CoreAccess(
        login=nothing, sessions=Sessions(), open_home=nothing, files=nothing, listings=nothing, logins=nothing
    )
    return FtpServer(settings, core, certificate)


PLAIN = replace(SETTINGS, tls="off", implicit_port=None)


def test_the_life_of_a_server(run: Run) -> None:
    async def main() -> None:
        server = bare(PLAIN)
        assert server.name == "ftp"
        before = len(server.addresses)
        await server.bind()
        assert before == 0
        port = server.addresses[0].port
        assert {address.service for address in server.addresses} == {"ftp"}
        with socket.create_connection(("127.0.0.1", port)) as early:
            early.settimeout(0.01)
            with pytest.raises(TimeoutError):  # bound, and nobody is answered yet
                early.recv(10)
            await server.serve()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert (await reader.readline()).startswith(b"220")
            await server.drain(5)
            assert await reader.readline() == b"421 The server is going down.\r\n"
            writer.close()
        with pytest.raises(RuntimeError, match="a server that is draining cannot become serving"):
            await server.serve()
        await server.close()
        await server.close()

    run(main())


def test_what_cannot_be_bound_leaves_nothing_open(run: Run, certificate: CertificateFiles) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            server = bare(replace(SETTINGS, implicit_port=taken.getsockname()[1]), certificate)
            with pytest.raises(OSError, match="Address already in use"):
                await server.bind()
            await server.close()

    run(main())


def test_tls_needs_a_certificate() -> None:
    for settings in (SETTINGS, replace(PLAIN, implicit_port=0)):
        with pytest.raises(ValueError, match=r"^an FTP server with TLS needs a certificate$"):
            bare(settings)


def test_drain_lets_transfers_end_and_ends_idle_sessions(house: House, serve: Serve) -> None:
    server = serve()
    with server.visitor() as busy, server.visitor() as idle, busy.data() as data:
        assert busy.ask("STOR file").startswith("150")
        data.sendall(b"first ")
        draining = threading.Thread(target=lambda: server.wait(server.server.drain(10)))
        draining.start()
        assert idle.reply() == "421 The server is going down."
        with pytest.raises(ConnectionRefusedError):
            server.wire()
        data.sendall(b"second")
        data.close()
        assert busy.reply().startswith("226 Stored 12 bytes")
        assert busy.reply() == "421 The server is going down."
        draining.join(10)
        assert not draining.is_alive()


def test_drain_does_not_wait_for_ever(serve: Serve) -> None:
    server = serve()
    with server.visitor() as busy, busy.data():
        assert busy.ask("STOR file").startswith("150")
        server.wait(server.server.drain(0.05))
        assert busy.ask("NOOP").startswith("200")


def test_a_new_certificate_counts_for_new_connections(server: RunningServer, house: House) -> None:
    def seen() -> bytes:
        with server.greeted() as wire:
            found = wire.start_tls().getpeercert(binary_form=True)
            assert found is not None
            return found

    before = seen()
    with server.visitor() as wire:
        certificate_in(house.root)
        server.call(lambda: server.server.reload(replace(SETTINGS, greeting="Renewed")))
        assert seen() != before
        assert wire.ask("NOOP").startswith("200")
    with server.wire() as wire:
        assert wire.reply() == "220 Renewed"
    (house.root / "cert.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        server.call(lambda: server.server.reload(SETTINGS))
    with server.wire() as wire:
        assert wire.reply() == "220 Renewed"


def test_a_server_without_tls_reloads_too(serve: Serve) -> None:
    server = serve(PLAIN)
    server.call(lambda: server.server.reload(replace(PLAIN, greeting="Renewed")))
    with server.wire() as wire:
        assert wire.reply() == "220 Renewed"
        assert wire.ask("AUTH TLS").startswith("502")


@pytest.mark.parametrize("transfers", [False, True])
def test_a_kicked_session_is_told_why_and_ends(any_server: RunningServer, house: House, transfers: bool) -> None:
    with any_server.visitor() as wire, wire.data() as data:
        if transfers:
            assert wire.ask("STOR file").startswith("150")
            data.sendall(b"12345")
            while "5 bytes so far" not in wire.ask("STAT"):
                pass
        assert any_server.sessions.kick(NAME, "the account was disabled") == 1
        assert wire.reply() == "421 The account was disabled."
        assert wire.reply() == ""
    with any_server.visitor() as wire:
        assert wire.ask("SIZE file") == ("213 5" if transfers else "550 /file: no such file or folder.")


def test_rights_that_change_count_at_once(house: House, server: RunningServer) -> None:
    from homeport.core.rights import Rights

    with server.visitor() as wire:
        assert wire.ask("MKD one").startswith("257")
        changed = house.accounts.update(NAME, rights=Rights.READ_ONLY)
        [connection] = server.server._arrivals.clients
        server.call(lambda: connection.session.home.refresh(changed))
        assert wire.ask("MKD two") == "550 /two: this account has no right to mkdir here."


def test_every_login_and_its_end_is_in_the_audit_log(house: House, server: RunningServer) -> None:
    with server.greeted() as wire:
        wire.start_tls()
        assert wire.ask("USER mallory").startswith("331")
        assert wire.ask("PASS guess").startswith("530")
        wire.log_in(NAME, PASSWORD)
        assert wire.ask("QUIT").startswith("221")
        assert wire.reply() == ""
    deadline = threading.Event()
    for _ in range(1000):
        house.services.audit.flush()
        lines = (house.root / "audit.jsonl").read_text().splitlines()
        if len(lines) >= 3:
            break
        deadline.wait(0.005)
    refused, login, logout = lines[:3]
    assert '"event":"login refused"' in refused.replace(": ", ":")
    assert "mallory" in refused
    assert "unknown name" in refused
    assert "guess" not in "".join(lines)
    assert "TLSv1.3" in login
    assert "QUIT" in logout


def test_certificates_come_from_the_tests_own_authority(tmp_path: Path) -> None:
    assert Path(certificate_in(tmp_path).certificate).exists()
    assert trusting().get_ca_certs()[0]["subject"] is not None
    assert authority() is authority()
