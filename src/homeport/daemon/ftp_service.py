"""The FTP server as a worker runs it: its settings, its share of the passive ports, its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from homeport.config.model import Settings
from homeport.daemon.instance import Instance
from homeport.daemon.service import Place, Service
from homeport.servers.core_access import CoreAccess
from homeport.servers.ftp.server import FtpServer
from homeport.servers.ftp.settings import FtpSettings, ftp_settings
from homeport.servers.tls import CertificateFiles

_UNIX = "unix:"
_LEAST_PART = 2  # passive ports of a worker; of a single one nobody could be made to give way at once


def build_ftp(settings: Settings, core: CoreAccess, place: Place) -> Iterator[Service]:
    """The FTP server, or none where it is switched off."""
    if settings.ftp.enabled:
        server = FtpServer(settings_for(settings, place), core, certificate_files(settings, place.instance))
        yield Service(server, lambda changed: server.reload(settings_for(changed, place)))


def settings_for(settings: Settings, place: Place) -> FtpSettings:
    """The FTP server's settings in this worker. Workers share ports; a Unix socket has one owner, the first worker."""
    made = ftp_settings(settings)
    listen = tuple(
        _UNIX + str(place.instance.path(address.removeprefix(_UNIX))) if address.startswith(_UNIX) else address
        for address in made.listen
        if place.slot == 0 or not address.startswith(_UNIX)
    )
    return replace(
        made,
        listen=listen,
        reuse_port=True,
        passive_ports=_part_of(made.passive_ports, place.slot, settings.workers),
        max_login_attempts=settings.login.attempts_per_connection,
        min_rate_bytes_per_s=settings.limits.min_rate_bytes_per_s,
    )


def _part_of(ports: tuple[int, ...], slot: int, workers: int) -> tuple[int, ...]:
    """This worker's passive ports: workers do not know whose sessions hold the ports of the others, so nobody could be
    made to give one back. All ports where they are too few to be divided.
    """
    return ports[slot::workers] if len(ports) >= _LEAST_PART * workers else ports


def certificate_files(settings: Settings, instance: Instance) -> CertificateFiles | None:
    """The certificate and key, or None where TLS is off."""
    if settings.ftp.tls == "off":
        return None
    return CertificateFiles(str(instance.path(settings.tls.certificate)), str(instance.path(settings.tls.key)))
