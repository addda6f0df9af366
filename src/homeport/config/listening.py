"""Which ports the enabled services ask for: one table, for the master, the checks and the doctor alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from homeport.config.model import Settings
from homeport.config.values import Section

_SERVICES = "services."  # before the name of a third party's service


@dataclass(frozen=True, slots=True)
class Listening:
    """A service's `key` in the settings, its port (0: any free one) and the addresses it listens on.

    `may_move`: nobody named this port, so where it is taken any free one does.
    """

    key: str
    port: int
    listen: tuple[str, ...]
    transport: Literal["tcp", "udp"] = "tcp"
    may_move: bool = False

    @property
    def hosts(self) -> tuple[str, ...]:
        """The IP addresses among `listen`; Unix sockets have no port."""
        return tuple(address for address in self.listen if not address.startswith("unix:"))


def listening(settings: Settings) -> list[Listening]:
    """What the enabled services ask for."""
    return [*_ftp(settings), *_ssh(settings), *_hptp(settings), *_datagrams(settings), *_extensions(settings)]


def is_default(section: Section) -> bool:
    """Whether a section's port is the built-in one: such a service would rather move than stop the start."""
    return "port" not in section.model_fields_set


def _ftp(settings: Settings) -> Iterator[Listening]:
    ftp = settings.ftp
    if ftp.enabled:
        yield Listening("ftp.port", ftp.port, ftp.listen)
        if ftp.implicit_port is not None:
            yield Listening("ftp.implicit_port", ftp.implicit_port, ftp.listen)


def _ssh(settings: Settings) -> Iterator[Listening]:
    ssh = settings.ssh
    if ssh.enabled:
        yield Listening("ssh.port", ssh.port, ssh.listen, may_move=is_default(ssh))


def _hptp(settings: Settings) -> Iterator[Listening]:
    hptp = settings.hptp
    if hptp.enabled:
        yield Listening("hptp.port", hptp.port, hptp.listen, may_move=is_default(hptp))


def _datagrams(settings: Settings) -> Iterator[Listening]:
    time, ntp = settings.time, settings.ntp
    if time.enabled:
        yield Listening("time.port", time.port, time.listen, "udp", may_move=is_default(time))
    if ntp.enabled:
        yield Listening("ntp.port", ntp.port, ntp.listen, "udp", may_move=is_default(ntp))
    chat = settings.chat
    if chat.enabled:
        yield Listening("chat.port", chat.port, chat.listen, "udp", may_move=is_default(chat))


def _extensions(settings: Settings) -> Iterator[Listening]:
    for name, extension in settings.services.items():
        if extension.enabled:
            yield Listening(f"services.{name}.port", extension.port, extension.listen, extension.transport)


def with_ports(settings: Settings, ports: dict[str, int]) -> Settings:
    """`settings` with the real port at each dotted key of `ports`."""
    sections: dict[str, Any] = {}
    for key, port in ports.items():
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = port
    services = dict(settings.services)
    for name in services.keys() & {section.removeprefix(_SERVICES) for section in sections}:
        services[name] = services[name].model_copy(update=sections.pop(_SERVICES + name))
    update = {name: getattr(settings, name).model_copy(update=changed) for name, changed in sections.items()}
    return settings.model_copy(update=update | {"services": services})
