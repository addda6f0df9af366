from __future__ import annotations

import pytest
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer

from homeport.cli import cmd_rm
from homeport.client.errors import RemoteExists

URL = "ftp://alice@host"


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer()
    for name in ("/a.txt", "/b.txt", "/keep", "/tree/x/1", "/tree/x/2", "/tree/y/3"):
        server.add(name, name.encode())
    return server


def test_mkdir(client: Run, server: FakeServer) -> None:
    assert client("mkdir", f"{URL}/new", f"{URL}/new/two").code == 0
    assert {"/new", "/new/two"} <= server.folders
    done = client("mkdir", f"{URL}/new")
    assert (done.code, done.err) == (1, "homeport: /new exists\n")
    done = client("mkdir", "-p", "--json", f"{URL}/new", f"{URL}/中/deep/er")
    assert done.objects == [
        {"event": "made", "path": "/new"},
        {"event": "made", "path": "/中/deep/er"},
        {"event": "summary", "made": 2},
    ]
    assert {"/中", "/中/deep", "/中/deep/er"} <= server.folders
    assert "/keep is a file, so no folder can be made in its place" in client("mkdir", "-p", f"{URL}/keep/x").err


def test_mkdir_does_not_mind_who_was_faster(client: Run, server: FakeServer) -> None:
    def made_by_another(deed: str, path: str) -> RemoteExists | None:
        if deed != "mkdir":
            return None
        server.folders.add(path)
        return RemoteExists("exists", 550, "exists")

    server.fail = made_by_another
    assert client("mkdir", "-p", f"{URL}/x/y").code == 0


MOVES = [
    (["/a.txt", "c.txt"], {"/c.txt"}),
    (["/a.txt", "/tree/c.txt"], {"/tree/c.txt"}),
    (["/a.txt", "/tree"], {"/tree/a.txt"}),
    (["/a.txt", "/tree/"], {"/tree/a.txt"}),
    (["/*.txt", "/tree"], {"/tree/a.txt", "/tree/b.txt"}),
    (["/a.txt", f"{URL}/tree/"], {"/tree/a.txt"}),
    (["/tree/x/1", "../y/"], {"/tree/y/1"}),
]


@pytest.mark.parametrize(("words", "there"), MOVES)
def test_mv(client: Run, server: FakeServer, words: list[str], there: set[str]) -> None:
    done = client("mv", URL + words[0], words[1], "--json")
    assert (done.code, done.objects[-1]) == (0, {"event": "summary", "moved": len(there)})
    assert there <= set(server.files)


def test_mv_refuses(client: Run) -> None:
    done = client("mv", f"{URL}/*.txt", "/nowhere")
    assert (done.code, done.err) == (
        2,
        "homeport: 2 names fit /*.txt, and /nowhere is no folder to take them\n",
    )
    done = client("mv", f"{URL}/a.txt", "ftp://bob@host/a.txt")
    assert done.code == 2
    assert "mv works on one server and account" in done.err


def test_rm_files(client: Run, server: FakeServer) -> None:
    done = client("rm", f"{URL}/*.txt", "--json")
    assert done.objects == [
        {"event": "removed", "path": "/*.txt", "names": 2},
        {"event": "summary", "removed": 2},
    ]
    assert set(server.files) == {"/keep", "/tree/x/1", "/tree/x/2", "/tree/y/3"}


def test_rm_folders(client: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    done = client("rm", f"{URL}/tree")
    assert (done.code, done.err) == (
        2,
        "homeport: /tree is a folder; add -r to remove it with everything in it\n",
    )
    done = client("rm", "-r", f"{URL}/tree")
    assert done.code == 9
    assert "needs --yes where nobody can be asked" in done.err
    monkeypatch.setattr(cmd_rm, "on_terminal", lambda _question: False)
    assert client("rm", "-r", f"{URL}/tree").code == 0
    assert "/tree/x/1" in server.files
    assert client("rm", "-r", "--yes", f"{URL}/").code == 9
    server.links.add("/tree/link")
    assert client("rm", "-r", "--yes", f"{URL}/tree/").code == 0
    assert not {name for name in (*server.files, *server.folders, *server.links) if name.startswith("/tree")}


def test_rm_asks_on_a_terminal(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr("homeport.cli.connecting.can_ask", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    assert cmd_rm.on_terminal("Remove it?")
    assert asked == ["Remove it?"]
