"""What a worker knows of each server that it runs, beside its life cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeport.config.model import Settings
from homeport.daemon.instance import Instance
from homeport.servers.lifecycle import Server


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers run: the instance, and which worker this is."""

    instance: Instance
    slot: int


@dataclass(frozen=True, slots=True)
class Service:
    """One server, and how it takes new settings.

    `reload` raises OSError and ssl.SSLError for a certificate that cannot be used, and has changed nothing then.
    """

    server: Server
    reload: Callable[[Settings], None]
