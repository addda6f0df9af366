"""The section of SSH: its ports, and where clients may connect to through the server."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from homeport.config.listening import listening
from homeport.config.model import Settings
from homeport.config.ssh import SshSettings


def test_it_is_on_and_forwards_nothing() -> None:
    assert SshSettings().enabled
    assert SshSettings().forward_to == ()


@pytest.mark.parametrize(
    ("said", "meant"),
    [("127.0.0.1:5432", ("127.0.0.1:5432",)), (["::1:80", "db:1"], ("::1:80", "db:1")), ([], ())],
)
def test_targets(said: object, meant: tuple[str, ...]) -> None:
    assert SshSettings.model_validate({"forward_to": said}).forward_to == meant


@pytest.mark.parametrize("said", ["host", ":22", "host:", "host:0", "host:65536", "host:ssh"])
def test_what_is_no_target(said: str) -> None:
    with pytest.raises(ValidationError, match=r"is no HOST:PORT; write such as 127\.0\.0\.1:5432"):
        SshSettings.model_validate({"forward_to": said})


def test_its_port_may_move_unless_somebody_named_it() -> None:
    def found(settings: Settings) -> list[tuple[int, bool]]:
        return [(one.port, one.may_move) for one in listening(settings) if one.key == "ssh.port"]

    assert found(Settings()) == [(2122, True)]
    assert found(Settings.model_validate({"ssh": {"port": 22}})) == [(22, False)]
    assert found(Settings.model_validate({"ssh": {"enabled": False}})) == []
