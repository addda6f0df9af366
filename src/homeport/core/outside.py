"""Changes of a home by programs that Homeport does not see: commands that the account runs on the machine itself.

The rule: what they wrote is counted afterwards, since nobody could charge it before; from `note` on the account is one
that is recounted if this process dies.
"""

from __future__ import annotations

from homeport.core.count import Count
from homeport.core.jail import Jail
from homeport.core.quota import Ledger, Recount, Usage
from homeport.core.stages import StageFolder


class Outside:
    """One account's home and stages, as they are on the disk. All methods block."""

    def __init__(self, account_id: int, ledger: Ledger, stages: StageFolder, jail: Jail) -> None:
        self._account_id = account_id
        self._ledger = ledger
        self._stages = stages
        self._jail = jail

    def note(self) -> None:
        """Say that the account's files are being changed: to be said again within `LedgerTimes.idle_s` while they are.

        Raises LedgerBusy, HomeUnavailable, StateUnavailable.
        """
        with self._ledger.changing(self._account_id):
            pass  # the lease that this needs is the mark

    def usage(self) -> Usage:
        """What the ledger knows: that of the last count, and of what Homeport itself stored since."""
        return self._ledger.usage(self._account_id)

    def measure(self) -> Count:
        """What everything costs now; what comes or goes meanwhile may be in or not. Raises HomeUnavailable and such."""
        return self._jail.walk_count() + self._stages.count(self._account_id)

    def recount(self) -> Recount:
        """Stop Homeport's own changes of the files, count them, and make that the truth. Raises LedgerBusy and such."""
        return self._ledger.recount(self._account_id, self.measure)

    def disk_free(self) -> int:
        """How many bytes the home's file system has free."""
        return self._jail.free_bytes()

    def disk_bytes(self) -> int:
        """How large the home's file system is."""
        return self._jail.disk_bytes()
