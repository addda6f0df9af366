"""The client's commands over hp://, against a server in memory: what is asked of it, what is kept, what is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import invoke
from tests.client.hptp.fake_hptp_server import FakeHptpServer, HptpScript, Stored, serving

from homeport.client.secrets import SecretStore


@pytest.fixture
def script() -> HptpScript:
    return HptpScript()


@pytest.fixture
def server(script: HptpScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHptpServer]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOMEPORT_PASSWORD", "pencil")
    with serving(script) as running:
        yield running


@pytest.fixture
def url(server: FakeHptpServer) -> str:
    return f"hp://alice@127.0.0.1:{server.port}"


def kept(tmp_path: Path, url: str) -> str | None:
    return SecretStore(tmp_path / "config" / "homeport" / "secrets.toml", lambda: None).get(url)


def test_login_keeps_a_token_and_logout_revokes_it(
    url: str, script: HptpScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = invoke("login", url)
    assert done.code == 0
    assert "logged in as alice; this system has no keyring, so a token of this device is kept in" in done.err
    assert list(script.tokens) == ["t1"]
    assert (kept(tmp_path, url) or "").endswith(" t1 secret-of-t1")
    monkeypatch.delenv("HOMEPORT_PASSWORD")
    assert invoke("ls", f"{url}/").code == 0
    assert "the token of hp://alice@127.0.0.1" in invoke("logout", url).err
    assert script.tokens == {}
    assert kept(tmp_path, url) is None


def test_logout_says_when_the_server_could_not_hear_of_it(
    url: str, script: HptpScript, server: FakeHptpServer, tmp_path: Path
) -> None:
    assert invoke("login", url).code == 0
    script.tokens.clear()
    done = invoke("logout", url)
    assert done.code == 0
    assert "this device's token could not be revoked and may still be good: cannot log in" in done.err
    assert kept(tmp_path, url) is None


def test_login_of_nobody(url: str) -> None:
    done = invoke("login", url.replace("alice@", ""))
    assert (done.code, "names nobody; write it as hp://NAME@HOST/" in done.err) == (2, True)


def test_a_tree_goes_up_and_comes_down_in_few_requests(url: str, script: HptpScript, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    for name in ("a", "deep/b", "deep/er/c"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / "empty").mkdir()
    done = invoke("put", "-r", str(source), f"{url}/in/")
    assert (done.code, script.folders) == (
        0,
        {"/", "/in", "/in/photos", "/in/photos/deep", "/in/photos/deep/er", "/in/photos/empty"},
    )
    assert {path: stored.data.decode() for path, stored in script.files.items()} == {
        f"/in/photos/{name}": name for name in ("a", "deep/b", "deep/er/c")
    }
    assert [op for op, _ in script.asked].count("walk") == 1
    script.asked.clear()
    assert invoke("put", "-r", str(source), f"{url}/in/").code == 0
    assert {op for op, _ in script.asked} - {"time"} == {"mkdir", "walk"}, "everything was there"
    back = tmp_path / "back"
    assert invoke("get", "-r", f"{url}/in/photos", str(back)).code == 0
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*") if path.is_file()) == [
        "a",
        "deep/b",
        "deep/er/c",
    ]


def test_a_sync_with_nothing_to_do(url: str, script: HptpScript, tmp_path: Path) -> None:
    script.folders.add("/in")
    script.files["/in/a"] = Stored(b"abc")
    target = tmp_path / "here"
    assert invoke("sync", f"{url}/in", str(target)).code == 0
    script.asked.clear()
    done = invoke("sync", f"{url}/in", str(target))
    assert (done.code, done.err) == (0, "nothing to do: 1 file(s) are the same on both sides\n")
    assert [op for op, _ in script.asked] == ["walk"]


def test_a_wrong_password_is_tried_once(
    url: str, script: HptpScript, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOMEPORT_PASSWORD", "pen")
    (tmp_path / "f").write_text("x")
    done = invoke("put", str(tmp_path / "f"), f"{url}/")
    assert (done.code, done.err) == (4, "homeport: cannot log in: the server says: wrong name or password\n")
    assert len(script.proofs) == 1
