"""The SSH server as a worker runs it: its settings and its host keys."""

from __future__ import annotations

from collections.abc import Iterator

from homeport.config.model import Settings
from homeport.daemon.host_keys import host_keys
from homeport.daemon.service import Place, Service
from homeport.servers.core_access import CoreAccess
from homeport.servers.sandbox.settings import CommandSettings, command_settings
from homeport.servers.ssh.server import SshServer
from homeport.servers.ssh.settings import SshSettings, SshTimes

_UNIX = "unix:"


def build_ssh(settings: Settings, core: CoreAccess, place: Place) -> Iterator[Service]:
    """The SSH server, or none where it is switched off."""
    if settings.ssh.enabled:
        server = SshServer(settings_for(settings, place), core)
        yield Service(server, lambda changed: server.reload(settings_for(changed, place)))


def settings_for(settings: Settings, place: Place) -> SshSettings:
    """The SSH server's settings in this worker. Workers share ports; a Unix socket has one owner, the first worker."""
    ssh, limits = settings.ssh, settings.limits
    return SshSettings(
        listen=tuple(
            _UNIX + str(place.instance.path(address.removeprefix(_UNIX))) if address.startswith(_UNIX) else address
            for address in ssh.listen
            if place.slot == 0 or not address.startswith(_UNIX)
        ),
        port=ssh.port,
        host_keys=tuple(map(str, host_keys(place.instance))),
        passwords=ssh.passwords,
        max_login_attempts=settings.login.attempts_per_connection,
        max_key_offers=ssh.max_key_offers,
        max_channels=ssh.max_channels,
        max_handles=ssh.max_handles,
        max_logging_in=ssh.max_logging_in,
        forward_to=frozenset(ssh.forward_to),
        upload_bytes_per_s=limits.upload_bytes_per_s,
        download_bytes_per_s=limits.download_bytes_per_s,
        reuse_port=True,
        times=SshTimes(login_s=limits.login_timeout_s, idle_s=limits.idle_timeout_s, keepalive_s=ssh.keepalive_s),
        commands=commands_for(settings, place),
    )


def commands_for(settings: Settings, place: Place) -> CommandSettings:
    """What commands may be and do; nothing that is the server's own is shown to them."""
    instance, storage = place.instance, settings.storage
    private = (instance.directory, instance.path(storage.homes), instance.path(storage.stage))
    return command_settings(settings.exec, private, instance.run / "exec")
