"""What a worker is to do. One rule: it is all that the master tells; nothing else of the master's reaches a worker."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.config.model import Settings
from homeport.daemon.instance import Instance


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the master tells a worker first; `slot` counts the workers from 0."""

    instance: Instance
    settings: Settings
    slot: int
