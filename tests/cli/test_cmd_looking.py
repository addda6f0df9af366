from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer

from homeport.client.errors import ConnectionFailed, PermissionRefused
from homeport.client.remote import Abilities, Kind, RemoteEntry

URL = "ftp://alice@host"


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer()
    server.add("/b.txt", b"hello\n")
    server.add("/A 中.bin", b"x" * 2048)
    server.add("/docs/deep/file", b"1")
    server.add("/odd*name", b"2")
    server.add("/odd-name", b"3")
    return server


LISTS = [
    ([f"{URL}/"], "docs/\nA 中.bin\nb.txt\nodd*name\nodd-name\n"),
    ([f"{URL}/docs"], "deep/\n"),
    ([f"{URL}/b.txt"], "b.txt\n"),
    ([f"{URL}/*.txt"], "b.txt\n"),
    ([f"{URL}/odd*name"], "odd*name\n"),
    ([f"{URL}/odd?name"], "odd*name\nodd-name\n"),
    ([f"{URL}/d*/d*"], "file\n"),
    ([f"{URL}/*o*"], "odd*name\nodd-name\n\n/docs:\ndeep/\n"),
    (["-R", f"{URL}/docs"], "/docs:\ndeep/\n\n/docs/deep:\nfile\n"),
]


@pytest.mark.parametrize(("words", "text"), LISTS)
def test_ls(client: Run, words: list[str], text: str) -> None:
    done = client("ls", *words)
    assert (done.code, done.err) == (0, "")
    assert done.out == text


def test_ls_long(client: Run) -> None:
    lines = client("ls", "-l", URL).out.splitlines()
    assert lines[0].startswith("drwxr-x---         -  2001-09-09 ")
    assert lines[1].startswith("-rw-r-----  2.00 KiB  2001-09-09 ")
    assert lines[1].endswith("  A 中.bin")
    assert " 2048 " in client("ls", "-b", URL).out


def test_ls_json(client: Run) -> None:
    *entries, summary = client("ls", "--json", URL).objects
    assert summary == {"event": "summary", "entries": 5}
    assert entries[0] == {
        "event": "entry",
        "path": "/docs",
        "name": "docs",
        "kind": "directory",
        "size": None,
        "mtime": 1_000_000_000.0,
        "mode": "0750",
    }


def test_names_that_move_the_cursor_are_escaped(client: Run, server: FakeServer) -> None:
    server.extra_entries = [RemoteEntry("\x1b[2J\x07", Kind.FILE, 1), RemoteEntry("\udcff", Kind.FILE, 1)]
    out = client("ls", URL).out
    assert "\\x1b[2J\\x07\n" in out
    assert "\\udcff\n" in out
    assert client("ls", "--json", URL).objects[-2]["name"] == "\udcff"


def test_an_endless_listing_ends(client: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.cli.listing.MAX_ENTRIES", 3)
    done = client("ls", URL)
    assert (done.code, done.err) == (11, "homeport: the server lists more than 3 names in /\n")


REFUSALS = [
    (["ls", f"{URL}/nope"], 3, "homeport: /nope: no such file or folder\n"),
    (["ls", f"{URL}/*.nope"], 3, "homeport: nothing on the server fits /*.nope\n"),
    (["ls", "b.txt"], 2, "homeport: 'b.txt' is no place on a server; write it as ftp://NAME@HOST/PATH"),
    (["ls", "http://host/"], 2, "is no URL of a file server"),
    (["ls", "ftp://alice:secret@host/"], 2, "a password in a URL ends up in histories"),
    (["ls", "--timeout", "0", URL], 2, "--timeout"),
    (["ls", "--fingerprint", "xy", URL], 2, "'xy' is no fingerprint"),
    (["cat", f"{URL}/nope"], 3, "/nope: no such file"),
    (["stat", f"{URL}/nope"], 3, "/nope: no such file or folder"),
]


@pytest.mark.parametrize(("words", "code", "text"), REFUSALS)
def test_refusals(client: Run, words: list[str], code: int, text: str) -> None:
    done = client(*words)
    assert done.code == code
    assert text in done.err


def test_what_the_server_does_decides_the_status(client: Run, server: FakeServer) -> None:
    server.fail = lambda _deed, _path: PermissionRefused("no\x1b[2J", 550, "no")
    assert (client("ls", URL).code, client("ls", URL).err) == (4, "homeport: no\\x1b[2J\n")
    server.fail = lambda _deed, _path: ConnectionFailed("gone")
    done = client("ls", "--json", URL)
    assert done.code == 5
    assert done.objects == [{"error": {"code": 5, "kind": "ConnectionFailed", "message": "gone"}}]


def test_cat(client: Run) -> None:
    assert client("cat", f"{URL}/b.txt", f"{URL}/docs/deep/file").out == "hello\n1"


def test_cat_finds_out_when_bytes_are_others(client: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cli.fake_server.FakeReader.read_into", lambda *_: 0)
    done = client("cat", f"{URL}/b.txt")
    assert done.code == 7
    assert "arrived with another digest" in done.err


def test_stat(client: Run) -> None:
    done = client("stat", f"{URL}/b.txt")
    assert done.out.splitlines()[:3] == ["path:     /b.txt", "kind:     file", "size:     6 bytes (6 B)"]
    assert done.out.splitlines()[4] == "mode:     0640 -rw-r-----"
    assert "size:     not told by the server" in client("stat", URL).out
    assert client("stat", "--json", f"{URL}/b.txt").objects[0]["path"] == "/b.txt"


def test_df(client: Run) -> None:
    assert client("df", URL).out == "free:   3.00 MiB  (3145728 bytes)\nused:   1.00 KiB  (1024 bytes)\n"
    assert client("df", "--json", URL).objects == [
        {"event": "summary", "free_bytes": 3145728, "used_bytes": 1024, "quota_bytes": None}
    ]


def test_hash(client: Run, server: FakeServer) -> None:
    digest = hashlib.sha256(b"hello\n").hexdigest()
    done = client("hash", f"{URL}/b.txt")
    assert (done.out, done.err) == (f"{digest}  /b.txt\n", "SHA-256\n")
    Path("same").write_bytes(b"hello\n")
    assert client("hash", f"{URL}/b.txt", "same").err == "SHA-256\nsame is equal\n"
    Path("other").write_bytes(b"hello")
    done = client("hash", "-a", "md5", f"{URL}/b.txt", "other")
    assert done.code == 7
    assert "other differs from the server's file: its MD5 is " in done.err
    assert client("hash", "--json", f"{URL}/b.txt", "other").objects[0]["equal"] is False
    assert client("hash", f"{URL}/b.txt", "missing").err.endswith("missing cannot be read: No such file or directory\n")
    server.abilities = Abilities()
    done = client("hash", f"{URL}/b.txt")
    assert (done.code, done.err) == (
        11,
        "homeport: this server cannot tell digests; `homeport get` the file to compare it\n",
    )
