from __future__ import annotations

from pathlib import Path

import pytest

from homeport.config.extensions import ExtensionSettings
from homeport.config.listening import Listening, listening, with_ports
from homeport.config.load import load
from homeport.config.model import Settings
from homeport.config.problems import ConfigError
from homeport.config.render import render

UPPER = "services.upper.class=upper_echo:UpperEcho"


def test_a_service_survives_the_way_to_a_worker(tmp_path: Path) -> None:
    settings = load(tmp_path, [UPPER, "services.upper.port=7000", "services.upper.options.loud=true"])
    assert settings.services["upper"] == ExtensionSettings.model_validate(
        {"class": "upper_echo:UpperEcho", "port": 7000, "options": {"loud": True}}
    )
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


def test_a_service_can_be_shown_and_read_again(tmp_path: Path) -> None:
    settings = load(tmp_path, [UPPER, "services.upper.allow=10.0.0.0/8"])
    (tmp_path / "homeport.toml").write_text(render(settings), encoding="utf-8")
    assert load(tmp_path) == settings


def test_its_keys_may_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "homeport.toml").write_text('[services.upper]\nclass = "a.b:C"\ntransport = "udp"\n', encoding="utf-8")
    assert load(tmp_path).services["upper"].class_ == "a.b:C"


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            ["services.upper.class=upper_echo"],
            "services.upper: 'upper_echo' names no class; write its module and its name, such as upper_echo:UpperEcho",
        ),
        ([UPPER, "services.upper.prot=3"], "services.upper.prot: unknown key; did you mean services.upper.port?"),
        ([UPPER, "services.upper.klass=3"], "services.upper.klass: unknown key; did you mean services.upper.class?"),
        (
            ["services.ftp.class=a:b"],
            "services.ftp: 'ftp' is Homeport's own; give your service another name",
        ),
        (
            ["services.Upper.class=a:b"],
            "services.Upper: 'Upper' is no service's name: small letters, digits, - and _, at most 32, a letter first",
        ),
        (["services.upper.port=1"], 'services.upper: it names no class; write class = "MODULE:CLASS"'),
        ([UPPER, "services.upper.port=77777"], "services.upper.port: 77777 is too large; the most is 65535"),
        (
            [UPPER, "services.upper.deny=10.0.0.0/33"],
            "services.upper.deny: '10.0.0.0/33' is no network: '10.0.0.0/33' does not appear to be an IPv4 or IPv6 "
            "network; write such as 192.168.0.0/16 or ::/0",
        ),
        (
            [UPPER, "services.upper.transport=udp", "services.upper.listen=unix:run/upper"],
            "services.upper.listen: a Unix socket has no UDP; name IP addresses alone",
        ),
        (
            [UPPER, "services.upper.port=2121"],
            "services.upper.port: port 2121 is taken by ftp.port; give each service its own port",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tmp_path: Path, overrides: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, overrides)
    assert [str(found) for found in caught.value.problems] == [problem]


def test_what_services_ask_for_and_get() -> None:
    settings = Settings.model_validate(
        {
            "services": {
                "upper": {"class": "a:B", "port": 7, "transport": "udp", "listen": "::1"},
                "off": {"class": "a:B", "enabled": False},
            }
        }
    )
    assert [one for one in listening(settings) if one.key.startswith("services.")] == [
        Listening("services.upper.port", 7, ("::1",), "udp")
    ]
    moved = with_ports(settings, {"services.upper.port": 9, "ftp.port": 21})
    assert (moved.services["upper"].port, moved.ftp.port, moved.services["off"].port) == (9, 21, 0)
