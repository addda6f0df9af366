from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
import zlib
from dataclasses import replace

import pytest
from tests.servers.ftp.conftest import Serve
from tests.servers.running import SETTINGS, House, RunningServer, Wire

from homeport.core.account_fields import AccountLimits
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.rights import Rights

SIZES = (0, 1, 4096, 70_000, 3_000_000)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(wire: Wire, line: str, content: bytes) -> str:
    """Upload and give the final reply."""
    with wire.data() as data:
        answer = wire.ask(line)
        if not answer.startswith("150"):
            return answer
        data.sendall(content)
    return wire.reply()


def get(wire: Wire, line: str) -> tuple[bytes, str]:
    with wire.data() as data:
        answer = wire.ask(line)
        if not answer.startswith("150"):
            return b"", answer
        content = b"".join(iter(lambda: data.recv(65536), b""))
    return content, wire.reply()


@pytest.mark.parametrize("private", [False, True])
def test_what_goes_in_comes_out(any_server: RunningServer, house: House, private: bool) -> None:
    client = any_server.private_client() if private else any_server.client()
    for size in SIZES:
        content = os.urandom(size)
        stored = client.storbinary("STOR file", io.BytesIO(content))
        assert stored == f"226 Stored {size} bytes, SHA-256 {digest(content)}"
        assert (house.home() / "file").read_bytes() == content
        received: list[bytes] = []
        sent = client.retrbinary("RETR file", received.append)
        assert sent == f"226 Sent {size} bytes, SHA-256 {digest(content)}"
        assert b"".join(received) == content
    client.quit()


def test_implicit_tls(any_server: RunningServer) -> None:
    from tests.servers.running import trusting

    wire = any_server.wire(implicit=True)
    wire.socket = trusting().wrap_socket(wire.socket, server_hostname="localhost")
    with wire:
        assert wire.reply().startswith("220")
        wire.log_in()
        assert wire.ask("PROT P").startswith("200")
        with wire.private_data() as data:
            assert wire.ask("NLST").startswith("150")
            data.do_handshake()
            assert data.session_reused
            assert data.recv(10) == b""
        assert wire.reply().startswith("226")


def test_restarting(server: RunningServer, house: House) -> None:
    with server.visitor() as wire:
        put(wire, "STOR file", b"0123456789")
        assert wire.ask("REST 4").startswith("350")
        assert get(wire, "RETR file")[0] == b"456789"
        assert wire.ask("REST 4").startswith("350")
        assert put(wire, "STOR file", b"XYZ") == f"226 Stored 7 bytes, SHA-256 {digest(b'0123XYZ')}"
        assert put(wire, "APPE file", b"!") == f"226 Stored 8 bytes, SHA-256 {digest(b'0123XYZ!')}"
        assert (house.home() / "file").read_bytes() == b"0123XYZ!"


def test_a_range(server: RunningServer) -> None:
    with server.visitor() as wire:
        put(wire, "STOR file", b"0123456789")
        assert wire.ask("RANG 2 4").startswith("350")
        content, answer = get(wire, "RETR file")
        assert (content, answer) == (b"234", "226 Sent 3 bytes")
        assert get(wire, "RETR file")[0] == b"0123456789"


def test_an_interrupted_upload_goes_on(server: RunningServer, house: House) -> None:
    with server.visitor() as wire:
        with wire.data() as data:
            assert wire.ask("STOR file").startswith("150")
            data.sendall(b"first ")
            while "6 bytes so far" not in wire.ask("STAT"):
                pass
            assert wire.ask("ABOR").startswith("426")
            assert wire.reply().startswith("226")
        assert wire.ask("SIZE file") == "213 6"
        assert put(wire, "APPE file", b"second") == f"226 Stored 12 bytes, SHA-256 {digest(b'first second')}"


def test_text(server: RunningServer, house: House) -> None:
    with server.visitor() as wire:
        wire.ask("TYPE A")
        assert put(wire, "STOR text", b"one\r\ntwo\r\n").startswith("226 Stored 8 bytes")
        assert (house.home() / "text").read_bytes() == b"one\ntwo\n"
        assert get(wire, "RETR text")[0] == b"one\r\ntwo\r\n"
        assert wire.ask("SIZE text").startswith("550")


def test_deflated(server: RunningServer, house: House) -> None:
    content = b"very compressible " * 50_000
    with server.visitor() as wire:
        wire.ask("MODE Z")
        assert put(wire, "STOR file", zlib.compress(content)).startswith(f"226 Stored {len(content)} bytes")
        assert (house.home() / "file").read_bytes() == content
        packed, answer = get(wire, "RETR file")
        assert answer.startswith("226")
        assert zlib.decompress(packed) == content
        assert len(packed) < len(content) // 50


def test_unique_names(server: RunningServer, house: House) -> None:
    with server.visitor() as wire:
        names = []
        for line in ("STOU", "STOU", "STOU file", "STOU file"):
            with wire.data() as data:
                answer = wire.ask(line)
                assert answer.startswith("150 FILE: /")
                data.sendall(line.encode())
            assert wire.reply().startswith("226")
            names.append(answer.removeprefix("150 FILE: /").removesuffix("."))
        assert len(set(names)) == 4
        assert names[0] == "upload"
        assert names[2] == "file"
        assert {path.name for path in house.home().iterdir()} == set(names)


@pytest.mark.parametrize("times", [1, 100])
def test_a_unique_name_that_somebody_takes_meanwhile_is_not_taken(
    server: RunningServer, house: House, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    real = Home.unique_name
    taken: list[VirtualPath] = []

    def beaten(home: Home, path: VirtualPath) -> VirtualPath:
        found = real(home, path)
        if len(taken) < times:
            taken.append(found)
            (house.home() / found.name).write_text("somebody else's")
        return found

    monkeypatch.setattr(Home, "unique_name", beaten)
    with server.visitor() as wire:
        answer = put(wire, "STOU file", b"mine")
        if times == 1:
            assert answer.startswith("226 Stored 4 bytes")
        else:
            assert answer.startswith("550 ")
            assert answer.endswith(": exists already.")
    assert all((house.home() / path.name).read_text() == "somebody else's" for path in taken)


def test_announced_sizes_and_digests_are_kept_to(server: RunningServer, house: House) -> None:
    with server.visitor() as wire:
        right, wrong = digest(b"content"), digest(b"other")
        assert wire.ask(f"SITE EXPECT 7 {right}").startswith("200")
        assert put(wire, "STOR file", b"content").startswith("226")
        assert wire.ask(f"SITE EXPECT 7 {wrong}").startswith("200")
        assert put(wire, "STOR file", b"CONTENT").startswith("551 /file: SHA-256 ")
        assert wire.ask(f"SITE EXPECT 8 {right}").startswith("200")
        assert put(wire, "STOR file", b"content").startswith("426 /file: 8 bytes were announced, 7 came")
        assert wire.ask("SIZE file") == wire.ask("SITE RESUME file") == "213 7"
        assert wire.ask("SITE RESUME nothing") == "213 0"
        assert (house.home() / "file").read_bytes() == b"content"


def limited(house: House, quota_bytes: int) -> None:
    house.accounts.update("alice", quota_bytes=quota_bytes)
    house.services.ledger.limits_changed(house.accounts.get("alice").id)


def test_room_is_reserved_and_too_much_refused_before_any_data(server: RunningServer, house: House) -> None:
    limited(house, 1000)
    with server.visitor() as wire, server.visitor() as other:
        assert wire.ask("ALLO 1001").startswith("552 Quota exceeded: 1001 more bytes wanted")
        assert wire.ask("ALLO 900").startswith("200")
        assert put(other, "STOR other", bytes(200)).startswith("552")
        assert put(wire, "STOR mine", bytes(900)).startswith("226")
        assert put(other, "STOR other", bytes(100)).startswith("226")


def test_the_quota_ends_an_upload_and_the_old_file_stays(server: RunningServer, house: House) -> None:
    limited(house, 100_000)
    with server.visitor() as wire:
        assert put(wire, "STOR file", b"old").startswith("226")
        with wire.data() as data:
            assert wire.ask("STOR file").startswith("150")
            try:
                for _ in range(100):
                    data.sendall(bytes(10_000))
            except OSError:
                pass  # the server has closed its end
            assert wire.reply().startswith("552 Quota exceeded")
        assert (house.home() / "file").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("STOR missing/file", "550 /missing: no such file or folder."),
        ("STOR folder", "550 /folder: is a folder."),
        ("APPE folder", "550 /folder: is a folder."),
        ("RETR folder", "550 /folder: is a folder."),
        ("RETR nothing", "550 /nothing: no such file or folder."),
        ("RETR pipe", "550 /pipe: not a regular file."),
        ("STOR pipe", "550 /pipe: not a regular file."),
        ("RETR outside", "550 /outside: a link leads out of the home."),
    ],
)
def test_what_is_refused_before_any_data(server: RunningServer, house: House, line: str, answer: str) -> None:
    (house.home() / "folder").mkdir()
    os.mkfifo(house.home() / "pipe")
    (house.home() / "outside").symlink_to("/etc/passwd")
    with server.visitor() as wire:
        with wire.data() as data:
            assert wire.ask(line) == answer
            with contextlib.suppress(ConnectionResetError):  # the listener is gone with the refusal
                assert data.recv(1) == b""
        assert wire.ask("NLST").startswith("425")


def test_two_uploads_of_one_file_do_not_mix(server: RunningServer) -> None:
    with server.visitor() as wire, server.visitor() as other, wire.data() as data:
        assert wire.ask("STOR file").startswith("150")
        assert put(other, "STOR file", b"x").startswith("450 /file: another upload")
        data.close()
        assert wire.reply().startswith("226")


def test_rights_are_asked(server: RunningServer, house: House) -> None:
    house.accounts.update("alice", rights=Rights.READ_ONLY)
    with server.visitor() as wire:
        assert put(wire, "STOR file", b"x") == "550 /file: this account has no right to write here."


@pytest.mark.parametrize("verb", ["STOR", "RETR"])
def test_a_rate_limit_holds_and_the_session_answers_meanwhile(serve: Serve, house: House, verb: str) -> None:
    (house.home() / "file").write_bytes(bytes(400_000))
    server = serve(replace(SETTINGS, upload_bytes_per_s=200_000, download_bytes_per_s=200_000))
    with server.visitor() as wire, wire.data() as data:
        started = time.monotonic()
        assert wire.ask(f"{verb} file").startswith("150")
        if verb == "STOR":
            data.sendall(bytes(400_000))
            data.close()
        else:
            while data.recv(65536):
                pass
        assert wire.ask("STAT")[:3] in ("211", "226")
        wire.send("NOOP")
        while not wire.reply().startswith("200"):
            pass
        assert time.monotonic() - started < 10


def test_a_rate_limit_of_the_account_goes_before(serve: Serve, house: House) -> None:
    house.accounts.update("alice", limits=AccountLimits(download_bytes_per_s=300_000))
    (house.home() / "file").write_bytes(bytes(600_000))
    with serve().visitor() as wire:
        started = time.monotonic()
        assert len(get(wire, "RETR file")[0]) == 600_000
        assert time.monotonic() - started > 0.5


def test_a_file_that_is_cut_while_it_is_sent_is_451(server: RunningServer, house: House) -> None:
    (house.home() / "file").write_bytes(bytes(30_000_000))
    with server.visitor() as wire, wire.data() as data:
        assert wire.ask("RETR file").startswith("150")
        os.truncate(house.home() / "file", 1000)
        while data.recv(1 << 20):
            pass
        assert wire.reply() == "451 /file: the file was cut while it was being sent."


def test_a_reset_download_is_426(any_server: RunningServer, house: House) -> None:
    (house.home() / "file").write_bytes(bytes(30_000_000))
    with any_server.visitor() as wire:
        data = wire.data()
        assert wire.ask("RETR file").startswith("150")
        data.recv(1000)
        data.close()
        assert wire.reply().startswith("426 The data connection was lost")


def test_many_transfers_leave_no_descriptor_behind(any_server: RunningServer, house: House) -> None:
    with any_server.visitor() as wire:
        put(wire, "STOR file", bytes(1000))
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            assert get(wire, "RETR file")[1].startswith("226")
            assert put(wire, "STOR file", bytes(1000)).startswith("226")
        assert len(os.listdir("/proc/self/fd")) <= before + 2
