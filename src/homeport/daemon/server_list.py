"""The servers that a worker runs. One rule: the list is code; nothing registers itself by being imported."""

from __future__ import annotations

from dataclasses import dataclass, replace

from homeport.config.model import Settings
from homeport.daemon.instance import Instance
from homeport.servers.ftp.front import FtpCore
from homeport.servers.ftp.server import FtpServer
from homeport.servers.ftp.settings import FtpSettings, ftp_settings
from homeport.servers.tls import CertificateFiles

_UNIX = "unix:"
_LEAST_PART = 2  # passive ports of a worker; of a single one nobody could be made to give way at once


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers run: the instance, and which worker this is."""

    instance: Instance
    slot: int


def build_ftp(settings: Settings, core: FtpCore, place: Place) -> list[FtpServer]:
    """The FTP server, or none where it is switched off."""
    if not settings.ftp.enabled:
        return []
    return [FtpServer(settings_for(settings, place), core, certificate_files(settings, place.instance))]


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
