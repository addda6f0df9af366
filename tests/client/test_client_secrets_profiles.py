from __future__ import annotations

import io
import sys
import tomllib
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport.client.errors import LocalFailed, UsageError
from homeport.client.places import config_folder, state_folder
from homeport.client.profiles import Profiles, Target, resolve
from homeport.client.secrets import Keyring, SecretStore, Sources, account_of, find_password, system_keyring
from homeport.client.toml_text import toml_string
from homeport.client.url import RemoteUrl, parse_url

URL = parse_url("ftp://anna@host:2121/in/x")
ACCOUNT = "ftp://anna@host:2121"


class FakeKeyring:
    def __init__(self, *, is_locked: bool = False) -> None:
        self.kept: dict[str, str] = {}
        self.is_locked = is_locked

    def _check(self) -> None:
        if self.is_locked:
            raise RuntimeError("locked")

    def get_password(self, service: str, name: str, /) -> str | None:
        self._check()
        return self.kept.get(name)

    def set_password(self, service: str, name: str, password: str, /) -> None:
        self._check()
        self.kept[name] = password

    def delete_password(self, service: str, name: str, /) -> None:
        self._check()
        del self.kept[name]


def store(folder: Path, keyring: Keyring | None = None) -> SecretStore:
    return SecretStore(folder / "deep" / "passwords.toml", lambda: keyring)


# --- where a password comes from ---


def test_the_order_of_sources(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.keep(ACCOUNT, "from the file")
    command = [sys.executable, "-c", "print('from the command')"]
    full = {"HOMEPORT_PASSWORD": "from the variable"}
    stdin = io.StringIO("from stdin\r\nrest")
    assert find_password(URL, Sources(stdin=stdin, environment=full, command=command, store=kept)) == "from stdin"
    assert find_password(URL, Sources(environment=full, command=command, store=kept)) == "from the variable"
    assert find_password(URL, Sources(environment={}, command=command, store=kept)) == "from the command"
    assert find_password(URL, Sources(environment={}, store=kept)) == "from the file"
    assert find_password(URL.with_path("/elsewhere"), Sources(environment={}, store=kept)) == "from the file"
    assert find_password(parse_url("ftp://ben@host:2121/"), Sources(environment={}, store=kept)) is None
    assert find_password(URL, Sources(environment={})) is None


@pytest.mark.parametrize(
    ("text", "reason"), [("", "holds no password"), ("\nx", "holds no password"), ("x" * 5000, "at most")]
)
def test_standard_input_without_a_password(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"standard input.*{reason}"):
        find_password(URL, Sources(stdin=io.StringIO(text), environment={}))


@pytest.mark.parametrize(
    ("command", "error", "reason"),
    [
        (["/no/such/program"], LocalFailed, "gave no password"),
        ([sys.executable, "-c", "raise SystemExit(3)"], LocalFailed, "ended with status 3"),
        ([sys.executable, "-c", ""], UsageError, "holds no password"),
    ],
)
def test_commands_that_give_none(command: list[str], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        find_password(URL, Sources(environment={}, command=command))


def test_accounts_are_servers_with_names() -> None:
    assert account_of(URL) == ACCOUNT
    assert account_of(RemoteUrl("ftp", "::1", 21, None, "/x")) == "ftp://[::1]:21"


# --- where it is kept ---


@pytest.mark.parametrize("password", ["simple", 'quotes " and \\ and # \x7f\t\x01', "中文 \U0001f600"])
def test_a_file_of_ones_own_and_it_is_said(tmp_path: Path, password: str) -> None:
    kept = store(tmp_path)
    said = kept.keep(ACCOUNT, password)
    assert said == (
        f"this system has no keyring, so the password is kept in {kept.path}, "
        "unencrypted and readable for your account alone"
    )
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert kept.get(ACCOUNT) == password
    kept.keep("ftp://b@h:21", "other")
    assert kept.get(ACCOUNT) == password
    assert kept.forget(ACCOUNT)
    assert not kept.forget(ACCOUNT)
    assert kept.get(ACCOUNT) is None
    assert kept.get("ftp://b@h:21") == "other"


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.keep(ACCOUNT, "x")
    kept.path.chmod(0o640)
    with pytest.raises(LocalFailed, match="others can read it; chmod 600 it"):
        kept.get(ACCOUNT)


def test_a_file_that_cannot_be_read_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store(tmp_path)
    kept.keep(ACCOUNT, "x")
    kept.path.write_text("[[[")
    with pytest.raises(LocalFailed, match="cannot be read"):
        kept.get(ACCOUNT)
    kept.path.unlink()

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(LocalFailed, match="cannot be written: No space left on device"):
        kept.keep(ACCOUNT, "x")
    assert list(kept.path.parent.iterdir()) == []


def test_a_password_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no UTF-8 text cannot be kept"):
        store(tmp_path).keep(ACCOUNT, "\udcff")


def test_the_keyring_is_first_choice(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    kept = store(tmp_path, keyring)
    assert kept.keep(ACCOUNT, "x") == "the password is kept in this system's keyring"
    assert not kept.path.exists()
    assert kept.get(ACCOUNT) == "x"
    assert kept.forget(ACCOUNT)
    assert not kept.forget(ACCOUNT)


def test_a_keyring_that_refuses_falls_back_to_the_file_and_says_so(tmp_path: Path) -> None:
    kept = store(tmp_path, FakeKeyring(is_locked=True))
    assert kept.keep(ACCOUNT, "x").startswith("the keyring refused (locked), so the password is kept in")
    assert kept.get(ACCOUNT) == "x"
    assert kept.get("other") is None
    assert kept.forget(ACCOUNT)


class NoBackend:
    pass


@pytest.mark.parametrize(("backend", "is_usable"), [(NoBackend, False), (FakeKeyring, True)])
def test_the_systems_keyring(monkeypatch: pytest.MonkeyPatch, backend: Callable[[], object], is_usable: bool) -> None:
    keyring, fail = types.ModuleType("keyring"), types.ModuleType("keyring.backends.fail")
    keyring.get_keyring = backend  # type: ignore[attr-defined]
    fail.Keyring = NoBackend  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.backends", types.ModuleType("keyring.backends"))
    monkeypatch.setitem(sys.modules, "keyring.backends.fail", fail)
    assert (system_keyring() is not None) == is_usable


def test_a_system_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert system_keyring() is None


@pytest.mark.parametrize("text", ["", "a b", 'say "x"', "\\", "\x7f\x00\t\n", "中", "\U0001f600"])
def test_strings_in_toml(text: str) -> None:
    assert tomllib.loads(f"key = {toml_string(text)}") == {"key": text}


# --- profiles ---

FINGERPRINT = "sha256:" + "ab" * 32
TEAM = f"""
[team]
url = "ftp://alice@files.example.org:2121/in"
jobs = 8
plain = true
charset = "gbk"
fingerprint = "{"AB" * 32}"
password_command = ["pass", "show", "team"]
[bare]
url = "ftps://h"
"""


def profiles(folder: Path, text: str | bytes | None) -> Profiles:
    path = folder / "profiles.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Profiles(path)


def test_a_profile(tmp_path: Path) -> None:
    kept = profiles(tmp_path, TEAM)
    team = kept.get("team")
    assert (team.jobs, team.plain, team.charset, team.fingerprint) == (8, True, "gbk", FINGERPRINT)
    assert team.password_command == ("pass", "show", "team")
    assert [profile.name for profile in kept.all()] == kept.names() == ["bare", "team"]
    assert kept.get("bare").jobs is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("team:/out/x", "ftp://alice@files.example.org:2121/out/x"),
        ("team:x/y", "ftp://alice@files.example.org:2121/in/x/y"),
        ("team:", "ftp://alice@files.example.org:2121/in"),
        ("bare:", "ftps://h:990/"),
        ("ftp://h/a", "ftp://h:21/a"),
    ],
)
def test_places(tmp_path: Path, text: str, url: str) -> None:
    target = resolve(text, profiles(tmp_path, TEAM))
    assert isinstance(target, Target)
    assert str(target.url) == url
    assert (target.profile is None) == text.startswith("ftp://")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '[team]\nurl = "ftp://h"\npassword = "x"',
            "no secret belongs in this file; `homeport login team:` keeps it safely",
        ),
        ('[team]\nurl = "ftp://h"\njob = 3', "job is not known; did you mean jobs?"),
        ('[team]\nurl = "ftp://h"\nzzz = 3', "zzz is not known; known are url, jobs"),
        ('[team]\nurl = "ftp://h"\njobs = 0', "jobs must be a number from 1 to 100"),
        ('[team]\nurl = "ftp://h"\njobs = true', "jobs must be a number from 1 to 100"),
        ('[team]\nurl = "ftp://h"\nplain = 1', "plain must be true or false"),
        ('[team]\nurl = "ftp://h"\npassword_command = "pass"', "password_command must be a list of words"),
        ("[team]\nurl = 5", "url must be a URL in quotes"),
        ("[team]\njobs = 5", "needs a url"),
        ("team = 5", "team must be a table"),
        ("[tea]\n", "did you mean tea?"),
        ("", "has none of that name"),
        (None, "has none of that name"),
        ("[[", "profiles.toml"),
    ],
)
def test_profiles_that_are_wrong(tmp_path: Path, text: str | None, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        profiles(tmp_path, text).get("team")
    assert reason in str(caught.value)


def test_a_file_of_profiles_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LocalFailed, match="cannot be read"):
        profiles(tmp_path, b"\xff\xfe").names()


# --- folders ---


def test_the_clients_own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_folder({}, "linux") == tmp_path / ".config/homeport"
    assert state_folder({}, "linux") == tmp_path / ".local/state/homeport"
    assert config_folder({"XDG_CONFIG_HOME": "/x"}, "linux") == Path("/x/homeport")
    assert config_folder({"XDG_CONFIG_HOME": "relative"}, "linux") == tmp_path / ".config/homeport"
    assert state_folder({"APPDATA": "/app"}, "win32") == Path("/app/homeport")
    assert state_folder({}, "win32") == tmp_path / ".local/state/homeport"
