"""The SSH server as a worker builds it."""

from __future__ import annotations

from pathlib import Path

from homeport.config.model import Settings
from homeport.daemon.instance import Instance
from homeport.daemon.service import Place
from homeport.daemon.ssh_service import settings_for


def test_settings_become_the_server_s(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "ssh": {"listen": ["127.0.0.1", "unix:run/ssh"], "port": 22, "forward_to": ["db:5432"], "max_channels": 3},
            "login": {"attempts_per_connection": 2},
            "limits": {"login_timeout_s": 5.0},
        }
    )
    made = [settings_for(settings, Place(Instance(tmp_path), slot)) for slot in (0, 1)]
    assert [one.listen for one in made] == [("127.0.0.1", f"unix:{tmp_path}/run/ssh"), ("127.0.0.1",)]
    first = made[0]
    assert first.host_keys == (str(tmp_path / "ssh/ssh_host_ed25519_key"),)
    assert (first.port, first.max_channels, first.max_login_attempts) == (22, 3, 2)
    assert first.forward_to == frozenset({"db:5432"})
    assert first.times.login_s == 5.0
    assert first.reuse_port


def test_two_workers_share_one_key(tmp_path: Path) -> None:
    places = [Place(Instance(tmp_path), slot) for slot in (0, 1)]
    keys = {settings_for(Settings(), place).host_keys[0] for place in places}
    assert len(keys) == 1
