"""The HPTP server as a worker runs it: its settings, its certificate, and what it tells of the other services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from homeport.config.listening import listening
from homeport.config.model import Settings
from homeport.daemon.service import Place, Service
from homeport.protocols.hptp.strict_json import Json
from homeport.servers.core_access import CoreAccess
from homeport.servers.hptp.server import HptpServer
from homeport.servers.hptp.settings import HptpSettings, hptp_settings
from homeport.servers.tls import CertificateFiles

_UNIX = "unix:"


def build_hptp(settings: Settings, core: CoreAccess, place: Place) -> Iterator[Service]:
    """The HPTP server, or none where it is switched off."""
    if settings.hptp.enabled:
        files = (str(place.instance.path(name)) for name in (settings.tls.certificate, settings.tls.key))
        server = HptpServer(settings_for(settings, place), core, CertificateFiles(*files))
        yield Service(server, lambda changed: server.reload(settings_for(changed, place)))


def settings_for(settings: Settings, place: Place) -> HptpSettings:
    """The HPTP server's settings in this worker. Workers share ports; a Unix socket has one owner, the first worker."""
    made = hptp_settings(settings)
    listen = tuple(
        _UNIX + str(place.instance.path(address.removeprefix(_UNIX))) if address.startswith(_UNIX) else address
        for address in made.listen
        if place.slot == 0 or not address.startswith(_UNIX)
    )
    return replace(made, listen=listen, reuse_port=True, services=services_of(settings))


def services_of(settings: Settings) -> dict[str, Json]:
    """Where else this server can be reached: the main port of every service that runs."""
    suffix = ".port"
    ports = {one.key.removesuffix(suffix): one.port for one in listening(settings) if one.key.endswith(suffix)}
    return {name.removeprefix("services."): {"port": port} for name, port in ports.items()}
