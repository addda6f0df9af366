"""Third parties' services as a worker runs them: loaded by the path that the settings name, with everything inherited.

The one rule: a class that cannot be used stops the start, with a sentence that says what it lacks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from homeport.config.extensions import ExtensionSettings
from homeport.config.model import Settings
from homeport.daemon.service import Place, Service
from homeport.servers.core_access import CoreAccess
from homeport.servers.datagrams import ECHOING_PORTS, Rules
from homeport.servers.extensions.contract import Context
from homeport.servers.extensions.datagram_server import DatagramServer
from homeport.servers.extensions.loading import load_datagram, load_stream
from homeport.servers.extensions.stream_server import StreamRules, StreamServer
from homeport.servers.lifecycle import Server
from homeport.servers.listening import Wish
from homeport.servers.networks import Networks

_UNIX = "unix:"
_BURST_S = 2.0  # an address may send so many seconds' datagrams at once


def build_extensions(settings: Settings, core: CoreAccess, place: Place) -> Iterator[Service]:
    """Every enabled service of a third party. Raises ExtensionUnusable."""
    for name, extension in settings.services.items():
        hosts = _hosts(extension, place)
        if not extension.enabled or not hosts:
            continue
        wish = Wish(name, hosts, extension.port, reuse_port=extension.transport == "tcp")
        context = Context(name, dict(extension.options), logging.getLogger(f"homeport.services.{name}"))
        yield Service(_BUILD[extension.transport](context, wish, extension, core, place), _takes_nothing_new)


def _takes_nothing_new(_: Settings) -> None:
    """Every setting of a service needs a restart."""


def _hosts(extension: ExtensionSettings, place: Place) -> tuple[str, ...]:
    """Where this worker listens: all share TCP ports; UDP and Unix sockets have one owner, the first worker."""
    if place.slot != 0 and extension.transport == "udp":
        return ()
    return tuple(
        _UNIX + str(place.instance.path(host.removeprefix(_UNIX))) if host.startswith(_UNIX) else host
        for host in extension.listen
        if place.slot == 0 or not host.startswith(_UNIX)
    )


def _stream(context: Context, wish: Wish, extension: ExtensionSettings, core: CoreAccess, place: Place) -> StreamServer:
    service = load_stream(context, extension.class_, _folder(extension, place))
    networks = Networks(extension.allow, extension.deny)
    rules = StreamRules(networks, extension.max_connections, extension.idle_timeout_s)
    return StreamServer(context, service, wish, rules, core.sessions)


def _datagram(
    context: Context, wish: Wish, extension: ExtensionSettings, _core: CoreAccess, place: Place
) -> DatagramServer:
    service = load_datagram(context, extension.class_, _folder(extension, place))
    rules = Rules(
        max_bytes=extension.max_request_bytes,
        per_s=extension.requests_per_s,
        burst=extension.requests_per_s * _BURST_S,
        reply_bytes=None if extension.longer_replies else 0,
        refused_ports=ECHOING_PORTS,
        networks=Networks(extension.allow, extension.deny),
    )
    return DatagramServer(context, service, wish, rules)


_BUILD: dict[str, Callable[[Context, Wish, ExtensionSettings, CoreAccess, Place], Server]] = {
    "tcp": _stream,
    "udp": _datagram,
}


def _folder(extension: ExtensionSettings, place: Place) -> str | None:
    return str(place.instance.path(extension.path)) if extension.path else None
