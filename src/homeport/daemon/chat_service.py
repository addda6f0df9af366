"""The chat as a worker runs it. The rule: UDP in the first worker; a hub in each, and bells between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from homeport.config.chat import ChatSettings
from homeport.config.model import Settings
from homeport.core.accounts import Account
from homeport.core.chat_keys import ChatKeys
from homeport.core.chat_log import ChatLimits, ChatLog
from homeport.core.chat_names import ChatRights
from homeport.core.chat_rooms import ChatRooms
from homeport.core.sessions import SessionRecord
from homeport.daemon.service import Place, Service
from homeport.daemon.services import Services
from homeport.protocols.chat.frames import MAX_BYTES
from homeport.servers.chat_access import ChatAccess, Threads
from homeport.servers.chat_bell import Bell
from homeport.servers.chat_hub import ChatHub, HubRules
from homeport.servers.core_access import CoreAccess
from homeport.servers.datagrams import ECHOING_PORTS, Rules
from homeport.servers.listening import Wish
from homeport.servers.networks import Networks
from homeport.servers.offload import Offload
from homeport.servers.udp.chat_server import ChatServer

_THREADS = 4
_BURST = 4.0  # so many seconds' worth at once


def chat_access(
    services: Services, settings: ChatSettings, watch: Callable[[Account, SessionRecord], None]
) -> ChatAccess | None:
    """What all servers of a worker get of the chat; None where it is switched off. `watch`: see ChatAccess."""
    if not settings.enabled:
        return None
    limits = chat_limits(settings)
    threads = Threads(Offload(_THREADS, name="chat"))
    rules = HubRules(
        messages_per_s=settings.messages_per_s,
        message_burst=settings.messages_per_s * _BURST,
        requests_per_s=settings.requests_per_s,
        request_burst=settings.requests_per_s * _BURST,
    )
    log, rooms = ChatLog(services.database, limits), ChatRooms(services.database, limits)
    hub = ChatHub(log, rooms, threads.run, rules)
    return ChatAccess(hub, ChatKeys(services.database), services.accounts.by_id, watch, threads, settings.port)


def chat_limits(settings: ChatSettings) -> ChatLimits:
    """For the server and for `homeport room` alike."""
    return ChatLimits(settings.max_message_chars, ChatRights.parse(settings.rights))


def build_chat(settings: Settings, core: CoreAccess, place: Place) -> Iterator[Service]:
    """The chat, or nothing where it is switched off."""
    if core.chat is None:
        return
    hub = core.chat.hub
    bell = Bell(place.instance.run, place.slot, hub.heard_elsewhere) if settings.workers > 1 else None
    server = ChatServer(core.chat, core.sessions, bell, settings.chat.max_sessions)
    if place.slot == 0:
        server.listen(Wish("chat", settings.chat.listen, settings.chat.port), rules_of(settings.chat))
    yield Service(server, lambda changed: server.reload(rules_of(changed.chat)))


def rules_of(settings: ChatSettings) -> Rules:
    """What is refused before a key is looked for. How long answers may be, sessions see to themselves."""
    return Rules(
        max_bytes=MAX_BYTES,
        per_s=settings.datagrams_per_s,
        burst=settings.datagrams_per_s * 2.0,
        reply_bytes=None,
        refused_ports=ECHOING_PORTS,
        networks=Networks(settings.allow, settings.deny),
    )
