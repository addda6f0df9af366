from __future__ import annotations

import pytest
from pydantic import ValidationError

from homeport.config.ftp import FtpSettings
from homeport.config.model import Settings, key_paths
from homeport.config.values import Section


def test_every_key_has_a_default_and_a_meaning() -> None:
    for name, value in Settings():
        for key, field in (
            type(value).model_fields if isinstance(value, Section) else {name: Settings.model_fields[name]}
        ).items():
            assert not field.is_required(), key
            assert (field.description or "").endswith("."), key


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().workers = 2


def test_keys() -> None:
    assert {"workers", "fsync", "ftp.port", "limits.sessions", "tls.key"} <= set(key_paths())
    assert len(set(key_paths())) == len(key_paths())


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("10.1.2.3", "10.0.0.1"),
        ("10.9.2.3", "192.0.2.9"),
        ("8.8.8.8", "203.0.113.7"),
        ("::ffff:10.1.2.3", "10.0.0.1"),
        ("fe80::1%eth0", None),
        ("unix", None),
    ],
)
def test_the_narrowest_network_decides(client: str, address: str | None) -> None:
    table = {"0.0.0.0/0": "203.0.113.7", "10.0.0.0/8": "192.0.2.9", "10.1.0.0/16": "10.0.0.1"}
    assert FtpSettings(public_address=table).public_address_for(client) == address


def test_one_public_address_is_for_all() -> None:
    assert FtpSettings(public_address="203.0.113.7").public_address_for("8.8.8.8") == "203.0.113.7"
    assert FtpSettings().public_address_for("8.8.8.8") is None


def test_charsets_by_network() -> None:
    settings = FtpSettings(charset_by_network={"10.0.0.0/8": "GBK", "10.1.0.0/16": "auto"})
    assert settings.charset_for("10.2.0.1") == "gbk"
    assert settings.charset_for("10.1.0.1") is None
    assert settings.charset_for("8.8.8.8") is None


def test_one_passive_port_may_be_a_number() -> None:
    assert FtpSettings.model_validate({"passive_ports": 2300}).passive_port_numbers() == (2300,)
