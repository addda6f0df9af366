"""What the server insists on in TLS: versions, private data, sessions that belong to their control connection."""

from __future__ import annotations

import ftplib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.clients import HOST, Curl, Lftp, connect
from tests.interop.live_server import PATIENCE_S, Account, LiveServer, attempt, require, running

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that insists on resumed sessions and offers implicit TLS too."""
    folder = tmp_path_factory.mktemp("strict")
    with running(folder, ftp__data_tls_resumption="require", ftp__implicit_port="0") as server:
        yield server


def greet(server: LiveServer, *options: str) -> tuple[int, str]:
    """What `openssl s_client` makes of AUTH TLS with `options`."""
    command = [require("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port}", "-starttls", "ftp", "-brief"]
    return attempt([*command, "-CAfile", server.certificate, *options], stdin=b"QUIT\r\n")


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_speaks_this_version(server: LiveServer, version: str) -> None:
    code, output = greet(server, f"-tls{version}", "-verify_return_error", "-verify_hostname", "localhost")
    assert code == 0, output
    assert f"Protocol version: TLSv{version.replace('_', '.')}" in output
    assert "Verification: OK" in output


@pytest.mark.parametrize("version", ["1", "1_1"])
def test_refuses_this_version(server: LiveServer, version: str) -> None:
    code, output = greet(server, f"-tls{version}", "-cipher", "ALL@SECLEVEL=0")
    assert code != 0, output
    assert "alert protocol version" in output


def test_refuses_renegotiation(server: LiveServer) -> None:
    command = [require("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port}", "-starttls", "ftp", "-tls1_2"]
    _, output = attempt(command, stdin=b"R\n")
    assert "no renegotiation" in output, output


def test_drops_what_was_sent_before_the_handshake(server: LiveServer, account: Account) -> None:
    """The STARTTLS injection: a command behind AUTH TLS in the same packet must not be obeyed under TLS."""
    with socket.create_connection((HOST, server.port), PATIENCE_S) as raw:
        assert raw.recv(1000).startswith(b"220")
        raw.sendall(b"AUTH TLS\r\nUSER injected\r\n")
        answer = b"".join(iter(lambda: raw.recv(1000), b""))
    assert b"331" not in answer


def test_private_data_is_required(server: LiveServer, account: Account) -> None:
    with connect(server, account) as ftp:
        with pytest.raises(ftplib.error_perm, match=r"^5(34|36|21|22) "):
            ftp.prot_c()
        with pytest.raises(ftplib.error_perm, match=r"^534 "):
            ftp.ccc()


def test_no_login_before_tls(server: LiveServer, account: Account) -> None:
    with ftplib.FTP() as ftp:
        ftp.connect(HOST, server.port, PATIENCE_S)
        with pytest.raises(ftplib.error_perm, match="AUTH TLS"):
            ftp.login(account.name, account.password)


def test_a_new_session_on_the_data_connection_will_do_by_default(server: LiveServer, account: Account) -> None:
    with connect(server, account, reuse=False) as ftp:
        assert ftp.nlst() == []


def test_a_new_session_on_the_data_connection_is_refused_where_required(strict: LiveServer) -> None:
    account = strict.add_account("fresh")
    with connect(strict, account, reuse=False) as ftp:
        connection, _ = ftplib.FTP.ntransfercmd(ftp, "NLST")
        assert exchange(ftp, connection, None) == b""
        with pytest.raises(ftplib.Error, match=r"^(425|522) .*session"):
            ftp.voidresp()


def exchange(ftp: ftplib.FTP_TLS, connection: socket.socket, session: ssl.SSLSession | None) -> bytes:
    """What a data connection brings that offers `session`; nothing where it is refused, in the handshake or after."""
    try:
        with ftp.context.wrap_socket(connection, server_hostname=HOST, session=session) as data:
            return data.recv(1000)
    except OSError:
        return b""


def test_a_stolen_session_is_refused_where_required(strict: LiveServer) -> None:
    """The session of another control connection proves nothing about this one."""
    account = strict.add_account("thief")
    with connect(strict, account) as other, connect(strict, account, reuse=False) as ftp:
        other.voidcmd("NOOP")
        connection, _ = ftplib.FTP.ntransfercmd(ftp, "NLST")
        session = other.sock.session  # type: ignore[union-attr]
        assert exchange(other, connection, session) == b""
        with pytest.raises(ftplib.Error, match=r"^(425|522) "):
            ftp.voidresp()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumed_sessions_work_where_required(strict: LiveServer, version: ssl.TLSVersion, tmp_path: Path) -> None:
    account = strict.add_account(f"reuser{version.value}")
    with connect(strict, account, version=version) as ftp:
        for name in ("one", "two"):
            with (tmp_path / name).open("wb+") as file:
                file.write(name.encode() * 100_000)
                file.seek(0)
                assert ftp.storbinary(f"STOR {name}", file).startswith("226")
        assert sorted(ftp.nlst()) == ["one", "two"]


@pytest.mark.parametrize("client", [Curl, Lftp])
def test_clients_resume_sessions_where_required(strict: LiveServer, client: type[Curl | Lftp], tmp_path: Path) -> None:
    account = strict.add_account(client.__name__.lower())
    (tmp_path / "file").write_bytes(bytes(2_000_000))
    made = client(strict, account)
    made.upload(tmp_path / "file", "/file")
    made.download("/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == bytes(2_000_000)


def test_implicit_tls(strict: LiveServer, tmp_path: Path) -> None:
    account = strict.add_account("implicit")
    curl = Curl(strict, account)
    curl.base = f"ftps://{HOST}:{strict.implicit_port}"
    (tmp_path / "file").write_bytes(b"content")
    curl.upload(tmp_path / "file", "/file")
    assert "file" in curl.listing("/")
