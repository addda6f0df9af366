from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from homeport.config.model import Settings
from homeport.core.sessions import SessionLimits, Sessions
from homeport.daemon.extension_service import build_extensions
from homeport.daemon.instance import Instance
from homeport.daemon.service import Place
from homeport.servers.core_access import CoreAccess
from homeport.servers.extensions.datagram_server import DatagramServer
from homeport.servers.extensions.loading import ExtensionUnusable
from homeport.servers.extensions.stream_server import StreamServer
from homeport.servers.lifecycle import Server

EXAMPLES = str(Path(__file__).parents[2] / "examples")
UPPER = {"class": "upper_echo:UpperEcho", "path": EXAMPLES, "listen": ["127.0.0.1", "unix:run/upper"]}
SHOUT = {"class": "upper_datagrams:UpperDatagrams", "path": EXAMPLES, "transport": "udp"}


class OnlySessions:
    sessions = Sessions(SessionLimits())


def built(folder: Path, slot: int, **services: dict[str, Any]) -> list[Server]:
    settings = Settings.model_validate({"services": services})
    place = Place(Instance(folder), slot)
    found = list(build_extensions(settings, cast(CoreAccess, OnlySessions), place))
    for service in found:
        service.reload(settings)
    return [service.server for service in found]


def test_the_first_worker_has_everything_the_others_share_tcp_ports(tmp_path: Path) -> None:
    first, shout = built(tmp_path, 0, upper=UPPER, shout=SHOUT)
    assert isinstance(first, StreamServer)
    assert isinstance(shout, DatagramServer)
    assert (first.name, shout.name) == ("upper", "shout")
    (second,) = built(tmp_path, 1, upper=UPPER, shout=SHOUT)
    assert first._wish.hosts == ("127.0.0.1", f"unix:{tmp_path}/run/upper")
    assert isinstance(second, StreamServer)
    assert (second._wish.hosts, second._wish.reuse_port) == (("127.0.0.1",), True)


def test_a_service_that_is_off_is_not_even_loaded(tmp_path: Path) -> None:
    assert built(tmp_path, 0, upper={"class": "nowhere:Nothing", "enabled": False}) == []


def test_a_folder_may_lie_in_the_instance(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine_alone.py").write_text("class Mine: ...\n")
    with pytest.raises(ExtensionUnusable, match=r"^services.mine: mine_alone:Mine is no service for tcp: "):
        built(tmp_path, 0, mine={"class": "mine_alone:Mine", "path": "mine"})


def test_a_class_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ExtensionUnusable, match=r"there is no module nowhere; install it, or set services\.x\.path"):
        built(tmp_path, 0, x={"class": "nowhere:Nothing"})
