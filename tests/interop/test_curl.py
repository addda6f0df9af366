"""curl beyond plain transfers: its quote commands, its refusals, its ways to make folders and to be killed."""

from __future__ import annotations

import ftplib
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.clients import Curl, connect
from tests.interop.live_server import Account, LiveServer, wait_until

pytestmark = pytest.mark.interop

MakeFile = Callable[..., Path]


def stage_size(ftp: ftplib.FTP_TLS, name: str) -> int:
    """How much of an unfinished upload the server has; 0 when it knows none."""
    try:
        return ftp.size(name) or 0
    except ftplib.error_perm:
        return 0


@pytest.fixture
def curl(server: LiveServer, account: Account) -> Curl:
    return Curl(server, account)


def test_refuses_a_login_without_tls(server: LiveServer, account: Account, curl: Curl) -> None:
    plain = [argument for argument in curl.command if argument != "--ssl-reqd"]
    curl.command = plain
    code, output = curl.attempt("--verbose", curl.base + "/")
    assert code == 67, output  # CURLE_LOGIN_DENIED
    assert "230" not in output


def test_refuses_a_wrong_password(server: LiveServer, account: Account) -> None:
    curl = Curl(server, Account(account.name, "guess"))
    code, output = curl.attempt(curl.base + "/")
    assert code == 67, output
    assert "530" in output


def test_makes_folders_on_the_way(server: LiveServer, account: Account, curl: Curl, make_file: MakeFile) -> None:
    local = make_file(size=1000)
    curl.call("--ftp-create-dirs", "--ftp-method", "multicwd", "-T", local, curl.base + "/a/b/c/")
    assert (server.home(account) / "a/b/c/film.bin").read_bytes() == local.read_bytes()


def test_quote_commands(server: LiveServer, account: Account, curl: Curl, make_file: MakeFile) -> None:
    local = make_file(size=100_000)
    digest = hashlib.sha256(local.read_bytes()).hexdigest()
    curl.upload(local, "/film.bin")
    output = curl.call(
        *("--verbose", "--quote", "HASH film.bin", "--quote", "XSHA256 film.bin", "--quote", "SITE QUOTA"),
        *("--quote", "MKD kept", "--quote", "RNFR film.bin", "--quote", "RNTO kept/film.bin"),
        *("--quote", "MFMT 20200102030405 kept/film.bin", "--list-only", curl.base + "/kept/"),
    ).lower()
    assert output.count(digest) == 2
    stored = server.home(account) / "kept" / "film.bin"
    assert stored.stat().st_mtime == 1577934245


def test_head_tells_size_and_time(curl: Curl, make_file: MakeFile) -> None:
    curl.upload(make_file(size=12345), "/film.bin")
    output = curl.call("--head", curl.base + "/film.bin")
    assert "Content-Length: 12345" in output
    assert "Last-Modified: " in output


def test_a_part_of_a_file(curl: Curl, make_file: MakeFile, tmp_path: Path) -> None:
    local = make_file(size=3_000_000)
    curl.upload(local, "/film.bin")
    curl.call("--range", "1000000-1999999", "--output", tmp_path / "part", curl.base + "/film.bin")
    assert (tmp_path / "part").read_bytes() == local.read_bytes()[1_000_000:2_000_000]


def test_the_quota_refuses_one_byte_over(server: LiveServer, make_file: MakeFile) -> None:
    account = server.add_account("small", "--quota", "1MiB")
    curl = Curl(server, account)
    curl.upload(make_file("kept", 10_000), "/kept")
    before = server.usage(account)
    code, output = curl.attempt("--verbose", "-T", make_file("big", 2**20), curl.base + "/big")
    assert code
    assert "552" in output, output
    assert "Quota exceeded" in output, output
    assert sorted(entry.name for entry in server.home(account).iterdir()) == ["kept"]
    server.assert_no_drift(account)
    assert before["quota_bytes"] == 2**20
    assert server.usage(account)["used_bytes"] <= 2**20


def test_an_announced_upload_is_refused_before_its_first_byte(server: LiveServer) -> None:
    curl = Curl(server, server.add_account("announcer", "--quota", "1MiB"))
    code, output = curl.attempt("--verbose", "--quote", f"ALLO {2**20 + 1}", curl.base + "/")
    assert code == 21, output  # CURLE_QUOTE_ERROR
    assert "552" in output


def test_killed_in_the_middle_it_goes_on_where_it_was(
    server: LiveServer, account: Account, curl: Curl, make_file: MakeFile
) -> None:
    local = make_file()
    content = local.read_bytes()
    process = subprocess.Popen([*curl.command, "-T", "-", curl.base + "/film.bin"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(content[: len(content) // 2])
    process.stdin.flush()
    with connect(server, account) as watcher:
        watcher.voidcmd("TYPE I")
        wait_until(lambda: stage_size(watcher, "film.bin") > 2**20, "a part of the upload had arrived")
        process.kill()
        process.wait()
        process.stdin.close()
        assert watcher.nlst() == []
    curl.resume_upload(local, "/film.bin")
    assert (server.home(account) / "film.bin").read_bytes() == content
    server.assert_no_drift(account)
