"""What every client must be able to do: list, upload, resume an upload, download, resume a download, keep names.

Clients without TLS meet a server that allows plain logins; the others one with Homeport's defaults.
HOMEPORT_INTEROP_MIB sets the size of the files (default 8).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.interop.clients import ENCRYPTED, PLAIN, Client, Curl, connect
from tests.interop.live_server import Account, LiveServer, running

pytestmark = pytest.mark.interop

SIZE = int(os.environ.get("HOMEPORT_INTEROP_MIB", "8")) * 2**20 + 4711
CUT = SIZE // 3

MakeFile = Callable[..., Path]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with running(tmp_path_factory.mktemp("instance"), ftp__tls="optional") as server:
        yield server


@pytest.fixture(params=[*ENCRYPTED, *PLAIN], ids=lambda kind: kind.__name__.lower())
def client(request: pytest.FixtureRequest, server: LiveServer, account: Account) -> Client:
    made: Client = request.param(server, account)
    return made


def send_part(server: LiveServer, account: Account, local: Path, remote: str) -> None:
    """The first CUT bytes of an upload whose client then vanishes."""
    ftp = connect(server, account)
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd(f"STOR {remote}")
    with local.open("rb") as file:
        data.sendall(file.read(CUT))
    data.close()  # without TLS's close_notify
    assert ftp.getmultiline().startswith("426"), "a cut upload must not be called complete"
    ftp.close()


def test_uploads_lists_and_downloads(
    client: Client, server: LiveServer, account: Account, make_file: MakeFile, tmp_path: Path
) -> None:
    local = make_file(size=SIZE)
    client.upload(local, "/film.bin")
    assert (server.home(account) / "film.bin").read_bytes() == local.read_bytes()
    assert "film.bin" in client.listing("/")
    assert str(SIZE) in client.listing("/")
    client.download("/film.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == local.read_bytes()


def test_resumes_an_upload(client: Client, server: LiveServer, account: Account, make_file: MakeFile) -> None:
    local = make_file(size=SIZE)
    send_part(server, account, local, "/film.bin")
    assert not (server.home(account) / "film.bin").exists()
    client.resume_upload(local, "/film.bin")
    assert (server.home(account) / "film.bin").read_bytes() == local.read_bytes()
    server.assert_no_drift(account)


def test_resumes_a_download(
    client: Client, server: LiveServer, account: Account, make_file: MakeFile, tmp_path: Path
) -> None:
    local = make_file(size=SIZE)
    client.upload(local, "/film.bin")
    part = tmp_path / "downloads" / "film.bin"
    part.parent.mkdir()
    part.write_bytes(local.read_bytes()[:CUT])
    client.resume_download("/film.bin", part)
    assert part.read_bytes() == local.read_bytes()


def test_replaces_a_file(client: Client, server: LiveServer, account: Account, make_file: MakeFile) -> None:
    client.upload(make_file("long", 300_000), "/notes")
    client.upload(make_file("short", 1000), "/notes")
    assert (server.home(account) / "notes").read_bytes() == make_file("short", 1000).read_bytes()
    server.assert_no_drift(account)


def test_keeps_names(client: Client, server: LiveServer, account: Account, make_file: MakeFile, tmp_path: Path) -> None:
    names = ["报告 2026.txt", "résumé", ".hidden", "a  b", "#%25?x", "日本語😀"]
    local = make_file("small", 1000)
    for name in names:
        client.upload(local, f"/{_quoted_for(client, name)}")
    assert sorted(entry.name for entry in server.home(account).iterdir()) == sorted(names)
    listing = client.listing("/")
    for number, name in enumerate(names):
        assert name in listing
        back = tmp_path / f"back{number}"
        client.download(f"/{_quoted_for(client, name)}", back)
        assert back.read_bytes() == local.read_bytes()


def _quoted_for(client: Client, name: str) -> str:
    """curl takes URLs; the others take names."""
    if not isinstance(client, Curl):
        return name
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in name.encode("utf-8"))
