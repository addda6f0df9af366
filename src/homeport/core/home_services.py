"""What the homes of a process share. The one rule: it is made once, by whoever puts the process together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from homeport.core.audit import AuditLog
from homeport.core.digests import DigestStore
from homeport.core.durability import Durability
from homeport.core.growing_digest import Beside
from homeport.core.jail import Jail
from homeport.core.quota import Ledger
from homeport.core.stages import StageFolder
from homeport.core.transfer import Allow, Works


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

    def works(self, account_id: int, jail: Jail, allow: Allow) -> Works:
        """What the uploads of one session work with."""
        return Works(
            account_id=account_id,
            jail=jail,
            ledger=self.ledger,
            changing=self.ledger.changing(account_id),
            stages=self.stages,
            digests=self.digests,
            durability=self.durability,
            arbiter=self.ledger.arbiter,
            beside=self.beside,
            disk=self.stages.disk,
            file_mode=self.modes.file,
            allow=allow,
        )
