from __future__ import annotations

from pathlib import Path

from homeport.config.model import Settings
from homeport.daemon.hptp_service import services_of, settings_for
from homeport.daemon.instance import Instance
from homeport.daemon.service import Place


def settings_of(**hptp: object) -> Settings:
    return Settings.model_validate({"hptp": hptp})


def test_a_worker_gets_its_settings(tmp_path: Path) -> None:
    made = settings_for(settings_of(port=0, max_streams=64, stream_window_bytes="1MiB"), Place(Instance(tmp_path), 0))
    assert (made.port, made.limits.max_streams, made.limits.stream_window, made.reuse_port) == (0, 64, 2**20, True)
    assert made.times.idle_s == Settings().limits.idle_timeout_s


def test_a_unix_socket_is_the_first_workers(tmp_path: Path) -> None:
    settings = settings_of(listen=["127.0.0.1", "unix:run/hptp"])
    first, second = (settings_for(settings, Place(Instance(tmp_path), slot)).listen for slot in (0, 1))
    assert first == ("127.0.0.1", f"unix:{tmp_path}/run/hptp")
    assert second == ("127.0.0.1",)


def test_a_client_learns_where_the_other_services_are() -> None:
    told = services_of(Settings.model_validate({"ftp": {"implicit_port": 990}, "ssh": {"enabled": False}}))
    assert told["ftp"] == {"port": 2121}
    assert told["hptp"] == {"port": 2120}
    assert "ssh" not in told
    assert all("." not in name for name in told)
