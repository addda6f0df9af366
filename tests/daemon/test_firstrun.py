from __future__ import annotations

import pwd
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from homeport.config.load import load
from homeport.config.model import Settings
from homeport.daemon import firstrun
from homeport.daemon.certificate import facts_of
from homeport.daemon.errors import StartFailed
from homeport.daemon.firstrun import account_name_of_user, make_certificate, write_settings_file
from homeport.daemon.instance import Instance


@pytest.mark.parametrize(
    ("user", "name"),
    [("alice", "alice"), ("root", "user"), ("nobody", "user"), ("-odd", "user"), ("a b", "user"), ("jürgen", "jürgen")],
)
def test_the_account_is_called_like_the_user(monkeypatch: pytest.MonkeyPatch, user: str, name: str) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name=user))
    assert account_name_of_user() == name


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert account_name_of_user() == "user"


def test_the_settings_file(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    assert write_settings_file(instance) is True
    assert stat.S_IMODE(instance.config_file.stat().st_mode) == 0o600
    assert load(tmp_path) == Settings()
    instance.config_file.write_text("workers = 2\n", encoding="utf-8")
    assert write_settings_file(instance) is False
    assert load(tmp_path).workers == 2


def test_the_certificate_is_made_once_and_names_the_addresses(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    public = 'ftp.public_address={ "0.0.0.0/0" = "203.0.113.7" }'
    settings = load(tmp_path, ['ftp.listen=["192.0.2.7", "unix:x"]', public])
    assert make_certificate(instance, settings) is True
    assert {"192.0.2.7", "203.0.113.7"} <= set(facts_of(tmp_path / "tls" / "cert.pem").names)
    assert make_certificate(instance, settings) is False


def test_files_that_the_settings_name_are_not_made(tmp_path: Path) -> None:
    settings = load(tmp_path, ["tls.certificate=/etc/no/such.pem"])
    with pytest.raises(StartFailed) as caught:
        make_certificate(Instance(tmp_path), settings)
    assert str(caught.value) == (
        "the server cannot start: /etc/no/such.pem does not exist, "
        "and tls.certificate or tls.key names it; put it there"
    )


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tls").touch()
    with pytest.raises(StartFailed, match="no certificate can be made: "):
        make_certificate(Instance(tmp_path), Settings())


def test_another_process_may_be_faster() -> None:
    from homeport.core.errors import AccountExists

    class Taken:
        def create(self, name: str, password: str) -> None:
            raise AccountExists(name)

    assert firstrun.make_first_account(Taken(), "secret") is None  # type: ignore[arg-type]
