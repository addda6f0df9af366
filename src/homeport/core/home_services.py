"""What the homes of a process share. The one rule: it is made once, by whoever puts the process together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from homeport.core.audit import AuditLog
from homeport.core.digests import DigestStore
from homeport.core.durability import Durability
from homeport.core.growing_digest import Beside
from homeport.core.quota import Ledger
from homeport.core.stages import StageFolder


@dataclass(frozen=True, slots=True)
class Modes:
    """Permission bits of new files and folders, whatever the umask."""

    file: int = 0o600
    directory: int = 0o700


@dataclass(frozen=True, slots=True)
class HomeServices:
    """What all homes of a process share: one of these a process."""

    ledger: Ledger
    stages: StageFolder
    digests: DigestStore
    audit: AuditLog
    durability: Durability
    modes: Modes = field(default_factory=Modes)
    clock: Callable[[], float] = time.monotonic  # seconds, for how long transfers took
    beside: Beside = field(default_factory=Beside)
