from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer

from homeport.client.errors import NoRoom, PermissionRefused
from homeport.client.remote import Abilities, Digest, Kind, RemoteEntry

URL = "ftp://alice@host"


def plant(**files: str) -> None:
    """Files here; `__` in a name is a slash."""
    for name, content in files.items():
        path = Path(name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def tree(client: Run) -> None:
    plant(a="one", b="two", t__x="three", t__deep__y="four")
    Path("t/empty").mkdir()


PUTS = [
    (["a", "/"], {"/a": b"one"}),
    (["a", "/new name"], {"/new name": b"one"}),
    (["a", "/made/"], {"/made/a": b"one"}),
    (["a", "b", "/"], {"/a": b"one", "/b": b"two"}),
    (["a", "b", "/made/here/"], {"/made/here/a": b"one", "/made/here/b": b"two"}),
    (["-r", "t", "/"], {"/t/x": b"three", "/t/deep/y": b"four"}),
    (["-r", "t", "/copy"], {"/copy/x": b"three", "/copy/deep/y": b"four"}),
    (["-r", "t/", "/"], {"/t/x": b"three", "/t/deep/y": b"four"}),
    (["-r", "t/.", "a", "/"], {"/t/x": b"three", "/t/deep/y": b"four", "/a": b"one"}),
]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(("words", "files"), PUTS)
def test_put(client: Run, server: FakeServer, words: list[str], files: dict[str, bytes]) -> None:
    done = client("put", *words[:-1], URL + words[-1])
    assert (done.code, done.out) == (0, "")
    assert server.files == files
    assert f"{len(files)} file" in done.err
    assert "SHA-256 verified" in done.err
    assert ("/t/empty" in server.folders) == ("/t/x" in files)


@pytest.mark.usefixtures("tree")
def test_put_keeps_times_and_does_nothing_twice(client: Run, server: FakeServer) -> None:
    os.utime("a", (1_234_567_890, 1_234_567_890))
    client("put", "a", URL)
    assert server.times["/a"] == 1_234_567_890
    assert "1 already complete" in client("put", "a", URL).err


@pytest.mark.usefixtures("tree")
def test_put_leaves_out_what_is_no_file(client: Run, server: FakeServer) -> None:
    Path("t/link").symlink_to("/etc")
    Path("t/filelink").symlink_to("x")
    os.mkfifo("t/fifo")
    done = client("put", "-r", "t", URL)
    assert done.code == 0
    assert "t/link is neither a file nor a folder, and was left out\n" in done.err
    assert "t/fifo is neither a file nor a folder, and was left out\n" in done.err
    assert server.files["/t/filelink"] == b"three"


PUT_REFUSALS = [
    (["nope", URL], 1, "homeport: nope cannot be read: No such file or directory\n"),
    (["t", URL], 2, "homeport: t is a folder; add -r to store it with everything in it\n"),
    (["a", "b", f"{URL}/x"], 2, "homeport: /x is no folder on the server; end it with / to have it made\n"),
    (["a"], 2, "Missing argument"),
    (["a", "b"], 2, "'b' is no place on a server"),
    (["--jobs", "0", "a", URL], 2, "--jobs"),
]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(("words", "code", "text"), PUT_REFUSALS)
def test_put_refuses(client: Run, server: FakeServer, words: list[str], code: int, text: str) -> None:
    done = client("put", *words)
    assert done.code == code
    assert text in done.err
    assert server.files == {}


GETS = [
    (["/a", "."], {"a": "one"}),
    (["/a"], {"a": "one"}),
    (["/a", "other"], {"other": "one"}),
    (["/a", "made/"], {"made/a": "one"}),
    (["/a", URL + "/t/x", "here/"], {"here/a": "one", "here/x": "three"}),
    (["/*", "here/", "-r"], {"here/a": "one", "here/t/x": "three", "here/t/deep/中 文": "four"}),
    (["/t", "-r"], {"t/x": "three", "t/deep/中 文": "four"}),
    (["/t", "copy", "-r"], {"copy/x": "three", "copy/deep/中 文": "four"}),
    (["/", "all", "-r"], {"all/a": "one", "all/t/x": "three", "all/t/deep/中 文": "four"}),
]


def plant_there(server: FakeServer) -> None:
    for name, content in {"/a": b"one", "/t/x": b"three", "/t/deep/中 文": b"four"}.items():
        server.add(name, content)
    server.add("/t/empty/")


@pytest.mark.parametrize(("words", "files"), GETS)
def test_get(client: Run, server: FakeServer, words: list[str], files: dict[str, str]) -> None:
    plant_there(server)
    done = client("get", URL + words[0], *words[1:])
    assert (done.code, done.out) == (0, "")
    found = {str(path): path.read_text() for path in Path().rglob("*") if path.is_file()}
    assert found == files
    assert all(os.stat(path).st_mtime == 1_000_000_000 for path in found)
    if "-r" in words:
        assert [path for path in Path().rglob("empty") if path.is_dir()]


GET_REFUSALS = [
    (["/nope"], 3, "homeport: /nope: no such file or folder\n"),
    (["/*.nope"], 3, "homeport: nothing on the server fits /*.nope\n"),
    (["/t"], 2, "homeport: /t is a folder; add -r to fetch it with everything in it\n"),
    (["/a", URL + "/t/x", "nowhere"], 2, "homeport: nowhere is no folder of this machine to take 2 names\n"),
    (["/a", "-"], 2, "homeport: to write to standard output, use `homeport cat`\n"),
    (["/a", "ftp://bob@host/b"], 2, "homeport: one `get` fetches from one server and account\n"),
]


@pytest.mark.parametrize(("words", "code", "text"), GET_REFUSALS)
def test_get_refuses(client: Run, server: FakeServer, words: list[str], code: int, text: str) -> None:
    plant_there(server)
    done = client("get", URL + words[0], *words[1:])
    assert (done.code, done.err) == (code, text)
    assert list(Path().iterdir()) == []


def test_a_hostile_name_stays_out(client: Run, server: FakeServer) -> None:
    server.add("/t/")
    server.extra_entries = [RemoteEntry("x" * 300, Kind.FILE, 1), RemoteEntry("link\x1b", Kind.LINK)]
    done = client("get", "-r", f"{URL}/t")
    assert done.code == 0
    assert "is too long for this system; nothing was written" in done.err
    assert "t/link\\x1b is neither a file nor a folder, and was left out\n" in done.err
    assert [path.name for path in Path().rglob("*")] == ["t"]


def test_one_of_many_fails(client: Run, server: FakeServer) -> None:
    plant_there(server)
    server.fail = lambda deed, path: (
        PermissionRefused("not yours", 550, "no") if (deed, path) == ("read", "/a") else None
    )
    done = client("get", "-r", f"{URL}/a", f"{URL}/t", ".")
    assert done.code == 8
    assert "a: not yours\n" in done.err
    assert "1 failed" in done.err
    assert Path("t/x").read_text() == "three"


def test_the_only_one_fails(client: Run, server: FakeServer) -> None:
    plant_there(server)
    server.fail = lambda deed, _path: PermissionRefused("not yours", 550, "no") if deed == "read" else None
    done = client("get", f"{URL}/a")
    assert done.code == 4
    assert done.err.endswith("homeport: not yours\n")


def test_no_room_ends_it(client: Run, server: FakeServer) -> None:
    plant(a="one", b="two", c="three")
    server.fail = lambda deed, _path: NoRoom("the quota is used up", 552, "no") if deed == "commit" else None
    done = client("put", "--jobs", "1", "a", "b", "c", URL)
    assert (done.code, done.err) == (6, "homeport: the quota is used up\n")


def test_another_digest_is_no_success(client: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_there(server)
    monkeypatch.setattr("tests.cli.fake_server.FakeReader.finish", lambda _: Digest("SHA-256", "00" * 32))
    done = client("get", f"{URL}/a")
    assert done.code == 7
    assert not Path("a").exists()


def test_json(client: Run, server: FakeServer) -> None:
    plant_there(server)
    done = client("get", "-r", f"{URL}/t", "--json")
    assert done.err == ""
    kinds = [event["event"] for event in done.objects]
    assert kinds[-1] == "summary"
    assert sorted(set(kinds)) == ["file-done", "file-started", "scanned", "summary"]
    summary = done.objects[-1]
    assert (summary["done"], summary["bytes"], summary["failed"]) == (2, 9, [])
    assert {event["name"] for event in done.objects if event["event"] == "file-done"} == {"t/x", "t/deep/中 文"}
    assert [event["event"] for event in client("get", f"{URL}/a", "--json", "--progress", "none").objects] == [
        "summary"
    ]


def test_no_progress(client: Run, server: FakeServer) -> None:
    plant_there(server)
    done = client("get", f"{URL}/a", "--progress", "none")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_server_without_digests_is_told(client: Run, server: FakeServer) -> None:
    plant_there(server)
    server.abilities = Abilities(machine_listing=True)
    assert "1 file without a digest to compare: this server tells none" in client("get", f"{URL}/a").err


def test_interrupted(client: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_there(server)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("homeport.client.engine.Engine.run", interrupted)
    done = client("get", f"{URL}/a")
    assert done.code == 130
    assert "what was transferred is kept; the same command goes on from there\n" in done.err


def test_profiles(client: Run, server: FakeServer, tmp_path: Path) -> None:
    plant_there(server)
    file = tmp_path / "config" / "homeport" / "profiles.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[team]\nurl = "ftp://alice@host/t"\njobs = 1\ncharset = "gb18030"\nplain = true\n')
    assert client("get", "team:x").code == 0
    assert Path("x").read_text() == "three"
    options = server.dialled[-1][2]
    assert (options.charset, options.plain, len(server.remotes)) == ("gb18030", True, 1)
    done = client("ls", "teem:x")
    assert (done.code, done.err) == (2, "homeport: teem: is no profile and no URL; did you mean team?\n")
    Path("c:x").write_text("local")
    assert client("put", "c:x", "team:").code == 0
    assert server.files["/t/c:x"] == b"local"


SYNC = "homeport: one of the two must be a URL and the other a folder of this machine; both are on"


def test_sync(client: Run, server: FakeServer) -> None:
    plant(t__x="three", t__deep__y="four")
    dry = client("sync", "t", f"{URL}/copy", "--dry-run")
    assert dry.out.splitlines() == [
        "make folder:   deep  (new)",
        "transfer:      x  (new)",
        "transfer:      deep/y  (new)",
    ]
    assert server.files == {}
    assert client("sync", "t", f"{URL}/copy").code == 0
    assert server.files == {"/copy/x": b"three", "/copy/deep/y": b"four"}
    assert client("sync", "t", f"{URL}/copy").err == "nothing to do: 2 file(s) are the same on both sides\n"
    assert client("sync", f"{URL}/copy", "back").code == 0
    assert Path("back/deep/y").read_text() == "four"


def test_sync_removes_only_after_a_yes(client: Run, server: FakeServer) -> None:
    plant(t__x="three")
    server.add("/copy/old", b"")
    assert client("sync", "t", f"{URL}/copy").code == 0
    assert "/copy/old" in server.files
    done = client("sync", "t", f"{URL}/copy", "--delete")
    assert done.code == 9
    assert "remove file:   old  (not in the source)\n" in done.err
    assert "1 file(s) would be removed; add --yes where nobody can be asked" in done.err
    assert client("sync", "t", f"{URL}/copy", "--delete", "--yes", "--max-delete", "0").code == 9
    done = client("sync", "t", f"{URL}/copy", "--delete", "--yes", "--json")
    assert (done.code, done.objects[-1]["done"]) == (0, 1)
    assert set(server.files) == {"/copy/x"}
    server.add("/copy/old", b"")
    done = client("sync", "t", f"{URL}/copy", "--delete", "--yes")
    said = done.err.splitlines()
    assert re.fullmatch(r"1 file removed in \d+\.\ds", said[-2])
    assert said[-1] == "1 file(s) were the same already"
    server.add("/copy/old", b"")
    Path("t/new").write_text("new")
    said = client("sync", "t", f"{URL}/copy", "--delete", "--yes").err.splitlines()
    assert said[-2].startswith("1 file, 3 B in ")
    assert said[-1] == "1 removed, 1 file(s) were the same already"


def test_sync_refuses(client: Run, server: FakeServer) -> None:
    plant(t__x="three")
    Path("empty").mkdir()
    server.add("/copy/old", b"")
    done = client("sync", "empty", f"{URL}/copy", "--delete", "--yes")
    assert (done.code, done.err.split(";")[0]) == (9, "homeport: the source is empty")
    assert client("sync", "t", "empty").err == f"{SYNC} this machine\n"
    assert client("sync", URL, URL).err == f"{SYNC} a server\n"
    assert client("sync", f"{URL}/nope", "t").code == 3


def test_sync_json(client: Run, server: FakeServer) -> None:
    plant(t__x="three")
    *steps, summary = client("sync", "t", f"{URL}/copy", "-n", "--json").objects
    assert steps == [{"event": "step", "act": "transfer", "path": "x", "reason": "new", "size": 5}]
    assert (summary["dry_run"], summary["transfers"], summary["bytes"]) == (True, 1, 5)
    client("sync", "t", f"{URL}/copy")
    assert client("sync", "t", f"{URL}/copy", "--json").objects[-1]["unchanged"] == 1
    assert client("sync", "t", f"{URL}/copy", "--checksum", "--json").objects[-1]["unchanged"] == 1
