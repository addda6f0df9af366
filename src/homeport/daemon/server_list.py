"""The servers that a worker runs. One rule: the list is code; nothing registers itself by being imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from homeport.config.model import Settings
from homeport.daemon.chat_service import build_chat
from homeport.daemon.extension_service import build_extensions
from homeport.daemon.ftp_service import build_ftp
from homeport.daemon.hptp_service import build_hptp
from homeport.daemon.service import Place, Service
from homeport.daemon.ssh_service import build_ssh
from homeport.daemon.time_service import build_ntp, build_time
from homeport.servers.core_access import CoreAccess

Build = Callable[[Settings, CoreAccess, Place], Iterable[Service]]

# In the order in which they are bound. A protocol joins by one line.
BUILDERS: tuple[Build, ...] = (build_ftp, build_ssh, build_hptp, build_time, build_ntp, build_chat, build_extensions)


def build_services(settings: Settings, core: CoreAccess, place: Place) -> list[Service]:
    """Every service that the settings switch on."""
    return [service for build in BUILDERS for service in build(settings, core, place)]
