from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from homeport.config.model import Settings
from homeport.core.chat_log import ChatLimits
from homeport.core.chat_names import ChatRights
from homeport.core.sessions import SessionLimits, Sessions
from homeport.daemon.chat_service import build_chat, chat_access, chat_limits, rules_of
from homeport.daemon.instance import Instance
from homeport.daemon.open_homes import OpenHomes
from homeport.daemon.service import Place
from homeport.daemon.services import Services
from homeport.servers.core_access import CoreAccess
from homeport.servers.udp.chat_server import ChatServer


class Core:
    def __init__(self, chat: Any) -> None:
        self.chat = chat
        self.sessions = Sessions(SessionLimits())


def settings_of(**chat: object) -> Settings:
    return Settings.model_validate({"workers": 2, "chat": {"port": 0, "listen": ["127.0.0.1"], **chat}})


@pytest.mark.parametrize(("slot", "listens"), [(0, True), (1, False)])
def test_udp_is_in_the_first_worker_and_a_hub_in_each(tmp_path: Path, slot: int, listens: bool) -> None:
    settings = settings_of()
    instance = Instance(tmp_path / "instance")
    instance.create(settings)
    with Services(instance, settings, "test") as services:
        access = chat_access(services, settings.chat, OpenHomes(services.accounts, services.home_services).watch)
        assert access is not None
        core = cast(CoreAccess, Core(access))
        (service,) = build_chat(settings, core, Place(instance, slot))
        assert isinstance(service.server, ChatServer)

        async def live() -> int:
            await service.server.bind()
            await service.server.serve()
            service.reload(settings)
            found = len(service.server.addresses)
            await service.server.close()
            return found

        assert bool(asyncio.run(live())) is listens
        access.threads.close()


def test_a_chat_that_is_off_is_nowhere(tmp_path: Path) -> None:
    settings = settings_of(enabled=False)
    instance = Instance(tmp_path / "instance")
    with Services(instance, settings, "test") as services:
        assert chat_access(services, settings.chat, lambda *_: None) is None
    assert list(build_chat(settings, cast(CoreAccess, Core(None)), Place(instance, 0))) == []


def test_what_the_settings_mean() -> None:
    settings = settings_of(rights="read", max_message_chars=10, deny="10.0.0.0/8", datagrams_per_s=7).chat
    assert chat_limits(settings) == ChatLimits(10, ChatRights.READ)
    rules = rules_of(settings)
    assert (rules.max_bytes, rules.per_s, rules.burst, rules.reply_bytes) == (1200, 7, 14.0, None)
    assert not rules.networks.admits("10.1.2.3")
