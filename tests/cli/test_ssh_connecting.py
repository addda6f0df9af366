"""What is different on the command line when a server is reached over SSH."""

from __future__ import annotations

import getpass
from pathlib import Path

import click
import pytest
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer

from homeport.cli import connecting
from homeport.cli.connecting import Asked, Connector, show_contact
from homeport.cli.connection_options import How
from homeport.client.errors import UsageError
from homeport.client.remote import Kind, RemoteEntry
from homeport.client.trust import FirstContact
from homeport.client.url import parse_url

URL = "sftp://alice@host"
KEY = "sha256:" + "ab" * 32


def test_who_logs_in(client: Run, server: FakeServer) -> None:
    server.password = None
    assert client("ls", "sftp://host/").code == 0
    assert client("ls", "ftp://host/").code == 0
    assert client("ls", "sftp://bob@host/").code == 0
    assert [user for _, user, _, _ in server.dialled] == [getpass.getuser(), "anonymous", "bob"]


def test_the_key_to_log_in_with(client: Run, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "config" / "homeport").mkdir(parents=True)
    (tmp_path / "config" / "homeport" / "profiles.toml").write_text(f'[team]\nurl = "{URL}/in"\nidentity = "~/team"\n')
    assert client("ls", f"{URL}/", "--identity", "mine").code == 0
    assert client("ls", "team:/").code == 0
    assert client("ls", "team:/", "--identity", "mine").code == 0
    assert [options.identity for _, _, options, _ in server.dialled] == [
        Path("mine"),
        Path("~/team").expanduser(),
        Path("mine"),
    ]
    assert all(options.keys for _, _, options, _ in server.dialled)


def test_login_is_by_password(client: Run, server: FakeServer) -> None:
    """A key would open the door as well, and nothing would be known of the password that is to be kept."""
    assert client("login", URL).code == 0
    assert not server.dialled[0][2].keys


def test_a_passphrase_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def prompt(text: str, **_: object) -> str:
        asked.append(text)
        return "word"

    monkeypatch.setattr(click, "prompt", prompt)
    ask = Connector(How()).options_for(parse_url(URL)).ask_passphrase
    assert ask is not None
    monkeypatch.setattr(connecting, "can_ask", lambda: False)
    with pytest.raises(UsageError, match=r"k has a passphrase, and there is no terminal to ask for it; use an agent"):
        ask("k")
    monkeypatch.setattr(connecting, "can_ask", lambda: True)
    assert (ask("k"), ask("k"), asked) == ("word", "word", ["Passphrase of k"])


def test_a_password_that_was_never_needed_is_never_asked_for() -> None:
    asked: list[str] = []

    def answer() -> str:
        asked.append("asked")
        return "right"

    credentials = Asked("alice", answer)
    assert not credentials.is_known
    assert (credentials.password, credentials.password, credentials.is_known, len(asked)) == ("right", "right", True, 1)


def test_a_key_is_shown_as_other_programs_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_contact(FirstContact("sftp://host:22", KEY, ""))
    err = capsys.readouterr().err
    assert f"  {KEY}\n  SHA256:q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s\n" in err
    assert "certificate" not in err


def test_removing_a_link_leaves_what_it_leads_to(
    client: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("/folder/file", b"x")
    server.links.add("/link")
    linked = RemoteEntry("link", Kind.DIRECTORY, is_link=True)
    monkeypatch.setattr("tests.cli.fake_server.FakeRemote.stat", lambda _self, _path: linked)
    assert client("rm", "-r", "--yes", f"{URL}/link").code == 0
    assert (server.links, set(server.files)) == (set(), {"/folder/file"})
    assert client("rm", f"{URL}/folder").code != 0
