from __future__ import annotations

from homeport.config.listening import Listening, is_default, listening, with_ports
from homeport.config.model import Settings


def test_what_the_services_ask_for() -> None:
    settings = Settings.model_validate({"ftp": {"port": 0, "implicit_port": 990, "listen": ["::1", "unix:run/ftp"]}})
    asked = listening(settings)
    assert asked[:2] == [
        Listening("ftp.port", 0, ("::1", "unix:run/ftp")),
        Listening("ftp.implicit_port", 990, ("::1", "unix:run/ftp")),
    ]
    assert asked[0].hosts == ("::1",)


def test_a_service_that_is_off_asks_for_nothing() -> None:
    settings = Settings.model_validate({"ftp": {"enabled": False}})
    assert not [one for one in listening(settings) if one.key.startswith("ftp.")]


def test_real_ports_take_their_places() -> None:
    settings = with_ports(Settings(), {"ftp.port": 2100, "ftp.implicit_port": 2101})
    assert (settings.ftp.port, settings.ftp.implicit_port) == (2100, 2101)


def test_a_port_that_is_named_even_with_its_default_value_is_no_default() -> None:
    assert is_default(Settings().ftp)
    assert not is_default(Settings.model_validate({"ftp": {"port": 2121}}).ftp)
