from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.cli.conftest import Run, invoke
from tests.cli.fake_server import KEY, FakeServer

from homeport.cli import connecting
from homeport.cli.connecting import Connector
from homeport.cli.connection_options import How, Moving
from homeport.client.secrets import SecretStore

URL = "ftp://alice@host"
OTHER = "sha256:" + "cd" * 32


class Terminal:
    """Somebody at a terminal who gives these answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: Iterator[object] = iter(())
        self.asked: list[str] = []
        monkeypatch.setattr(connecting, "can_ask", lambda: True)
        monkeypatch.setattr(click, "prompt", self._answer)
        monkeypatch.setattr(click, "confirm", self._answer)

    def will(self, *answers: object) -> None:
        self.answers = iter(answers)

    def _answer(self, question: str, **_: object) -> object:
        self.asked.append(question)
        return next(self.answers)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, client: Run) -> Terminal:
    monkeypatch.delenv("HOMEPORT_PASSWORD")
    return Terminal(monkeypatch)


def test_without_a_terminal_the_flag_to_add_is_told(client: Run, server: FakeServer) -> None:
    server.is_vouched_for = False
    done = client("ls", URL)
    assert (done.code, done.err) == (
        10,
        "homeport: ftp://host:21 is not known yet, and nobody is here to ask. "
        f"If this is its key, add: --fingerprint {KEY}\n",
    )
    assert client("ls", URL, "--fingerprint", KEY).code == 0
    assert client("ls", URL, "--fingerprint", OTHER).code == 10
    assert client("ls", URL).code == 10


def test_first_contact_is_asked_about_once_and_before_the_password(
    client: Run, server: FakeServer, terminal: Terminal
) -> None:
    server.is_vouched_for = False
    terminal.will(True, "right")
    done = client("ls", URL)
    assert done.code == 0
    assert KEY in done.err
    assert "2036-01-02" in done.err
    assert terminal.asked == ["Is this the right key, to be trusted from now on?", "Password of alice at host"]
    terminal.will("right")
    assert client("ls", URL).code == 0


def test_no_is_no(client: Run, server: FakeServer, terminal: Terminal) -> None:
    server.is_vouched_for = False
    terminal.will(False)
    done = client("ls", URL)
    assert (done.code, done.err.splitlines()[-1]) == (
        10,
        "homeport: ftp://host:21 was not trusted; nothing was sent",
    )


def test_a_changed_key_stops_everything(client: Run, server: FakeServer, tmp_path: Path) -> None:
    server.is_vouched_for = False
    known = tmp_path / "config" / "homeport" / "known_hosts.toml"
    known.parent.mkdir(parents=True)
    known.write_text(f'["ftp://host:21"]\nfingerprint = "{OTHER}"\n')
    done = client("ls", URL)
    assert done.code == 10
    assert f"  trusted: {OTHER}\n" in done.err
    assert f"  shown:   {KEY}\n" in done.err


def test_passwords_are_asked_for_three_times(client: Run, server: FakeServer, terminal: Terminal) -> None:
    terminal.will("wrong", "wrong", "right")
    done = client("ls", URL)
    assert (done.code, done.err) == (0, "login of alice failed: the server says: no\n" * 2)
    terminal.will("wrong", "wrong", "wrong")
    done = client("ls", URL)
    assert (done.code, done.err.splitlines()[-1]) == (4, "homeport: login of alice failed: the server says: no")


def test_passwords_from_elsewhere(client: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client("ls", URL).code == 0  # by the variable
    monkeypatch.setenv("HOMEPORT_PASSWORD", "wrong")
    assert client("ls", URL).code == 4
    assert client("ls", URL, "--password-stdin", stdin="right\n").code == 0
    assert client("put", "--password-stdin", __file__, URL, stdin="right\n").code == 0
    monkeypatch.delenv("HOMEPORT_PASSWORD")
    done = client("ls", URL)
    assert (done.code, done.err) == (
        2,
        "homeport: there is no terminal to ask for the password of alice; "
        "use --password-stdin, $HOMEPORT_PASSWORD or `homeport login ftp://alice@host:21`\n",
    )


def test_nobody_in_particular(client: Run, server: FakeServer) -> None:
    server.password = "homeport@"
    assert client("ls", "ftp://host").code == 0
    assert server.dialled[-1][1] == "anonymous"
    server.password = "right"
    done = client("ls", "ftp://host")
    assert (done.code, done.err) == (
        4,
        "homeport: login of anonymous failed: the server says: no; "
        "the URL names nobody, write it as ftp://NAME@HOST/\n",
    )


def test_login_and_logout(client: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("homeport.client.secrets.system_keyring", lambda: None)
    monkeypatch.delenv("HOMEPORT_PASSWORD")
    monkeypatch.setattr(
        "homeport.cli.connecting.secret_store",
        lambda: SecretStore(tmp_path / "secrets.toml", lambda: None),
    )
    done = client("login", URL, "--password-stdin", "--json", stdin="right\n")
    assert done.code == 0
    assert done.err.startswith("logged in as alice; this system has no keyring, so the password is kept in ")
    assert done.objects[0]["account"] == "ftp://alice@host:21"
    assert (tmp_path / "secrets.toml").stat().st_mode & 0o777 == 0o600
    assert client("ls", URL).code == 0
    server.password = "changed"
    assert client("ls", URL).code == 4
    done = client("logout", URL)
    assert (done.code, done.err) == (0, "the password of ftp://alice@host:21 is forgotten\n")
    done = client("logout", URL, "--json")
    assert done.objects == [{"event": "summary", "account": "ftp://alice@host:21", "was_kept": False}]
    assert client("login", "ftp://host", stdin="").code == 2
    assert client("login", URL, "--password-stdin", stdin="wrong\n").code == 4
    assert client("login", URL, "--password-stdin", stdin="").code == 2


def test_options_reach_the_connection(client: Run, server: FakeServer) -> None:
    client("ls", URL, "--plain", "--charset", "gbk", "--timeout", "5", "--fingerprint", OTHER)
    _, _, options, trust = server.dialled[-1]
    assert (options.plain, options.charset, options.stall_timeout_s, options.connect_timeout_s) == (True, "gbk", 5, 5)
    assert (trust.pinned, trust.ask) == (OTHER, None)


def test_threads_use_the_answer(client: Run, server: FakeServer, terminal: Terminal) -> None:
    terminal.will("right")
    connector = Connector(How())
    url = connector.remote_of(URL)
    connector.dial(url)
    others = [threading.Thread(target=connector.dial, args=(url,)) for _ in range(3)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    assert len(server.remotes) == 4
    assert len(terminal.asked) == 1


def test_who_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Tty())
    monkeypatch.setattr(sys, "stderr", Tty())
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(connecting.can_ask()))
    thread.start()
    thread.join()
    assert (connecting.can_ask(), told) == (True, [False])


def test_jobs(client: Run) -> None:
    connector = Connector(How())
    url = connector.remote_of(URL)
    assert connector.jobs_for(url, Moving()) == 4
    assert connector.jobs_for(url, Moving(jobs=9)) == 9


def test_trust(client: Run, server: FakeServer, terminal: Terminal) -> None:
    server.is_vouched_for = False
    terminal.will(True)
    assert client("trust", URL).err.endswith("ftp://host:21 is trusted from now on\n")
    assert server.dialled == []  # no login
    assert client("trust", URL).err == "ftp://host:21 is trusted already\n"
    assert client("trust", "--list").out == f"SERVER         KEY\nftp://host:21  {KEY}\n"
    assert client("trust", "--list", "--json").objects[0]["fingerprint"] == KEY
    assert client("trust", "--forget", URL).err == "ftp://host:21 is forgotten\n"
    assert client("trust", "--forget", URL).err == "ftp://host:21 was not known\n"
    assert client("trust", "--list").err == "no server's key is known yet\n"
    terminal.will(False)
    assert client("trust", URL).code == 10


def test_trust_renews_a_key(client: Run, server: FakeServer, terminal: Terminal) -> None:
    server.is_vouched_for = False
    connecting.known_hosts().remember("ftp://host:21", OTHER)
    terminal.will(True)
    done = client("trust", URL, "--json")
    assert f"ftp://host:21 was trusted with this key:\n  {OTHER}\nNow it shows this one:\n  {KEY}\n" in done.err
    assert connecting.known_hosts().fingerprint_of("ftp://host:21") == KEY


def test_trust_without_a_terminal(client: Run, server: FakeServer) -> None:
    server.is_vouched_for = False
    done = client("trust", URL)
    assert (done.code, done.err) == (
        10,
        "homeport: nobody is here to ask about the key of ftp://host:21. "
        f"If this is the right one, add: --fingerprint {KEY}\n",
    )
    assert client("trust", URL, "--fingerprint", OTHER).code == 10
    assert client("trust", URL, "--fingerprint", KEY).code == 0
    assert client("ls", URL).code == 0
    assert client("trust").code == 2


def test_trust_of_a_vouched_server(client: Run, server: FakeServer) -> None:
    done = client("trust", URL)
    assert (done.code, done.err) == (
        0,
        "an authority vouches for the certificate of ftp://host:21; its key needs no keeping\n",
    )


@pytest.mark.parametrize(
    ("url", "code", "text"),
    [
        ("hp://alice@localhost:1/", 5, "homeport: cannot connect to localhost port 1: Connection refused\n"),
        ("ftp://alice@localhost:1/", 5, "homeport: cannot connect to localhost port 1: Connection refused\n"),
    ],
)
def test_what_no_password_could_mend_is_said_before_one_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, code: int, text: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("HOMEPORT_PASSWORD", raising=False)
    done = invoke("ls", url)
    assert (done.code, done.err) == (code, text)
