"""What one upload has been charged: from the account's room, from a reservation, and against the file it replaces.

The rule: whatever an upload was charged is in its bill, so that whichever way it ends nothing stays charged that is
not on the disk. Every method that changes the bill is called inside `Ledger.changing`, except `release`.
"""

from __future__ import annotations

from homeport.core.count import Count
from homeport.core.leases import NOTHING
from homeport.core.quota import Ledger
from homeport.core.search import Search


class Reservation:
    """Room of `size` bytes that nobody else can take, until it is used or released."""

    def __init__(self, ledger: Ledger, account_id: int, size: int) -> None:
        """Take the room. Raises QuotaExceeded."""
        self._ledger = ledger
        self._account_id = account_id
        ledger.hold(account_id, size)
        self.size = size

    def use(self, size: int) -> None:
        """`size` bytes of it were charged."""
        self.size -= size

    def release(self) -> None:
        """Give back what was not used; may be called again."""
        size, self.size = self.size, 0
        if size:
            self._ledger.release(self._account_id, size)


class Bill:
    """One upload's charges. `credit` is what the file to be replaced costs; `reservation` is used up first."""

    def __init__(
        self, ledger: Ledger, account_id: int, credit: Count = NOTHING, reservation: Reservation | None = None
    ) -> None:
        self._ledger = ledger
        self._account_id = account_id
        self._credit = credit
        self._reservation = reservation
        self.borrowed = NOTHING
        self._holds_file = False

    def hold_file(self) -> None:
        """Keep room for the file itself, of which nothing counts on the disk yet; raises as `charge`."""
        credit = self._credit  # of which nothing is borrowed yet, for this is an upload's first charge
        self.borrowed = self._ledger.hold(
            self._account_id, files=1, credit_bytes=credit.bytes, credit_files=credit.files
        )
        self._holds_file = True

    def count_file(self) -> None:
        """The file counts on the disk now, or never will; does nothing if it did before."""
        if self._holds_file:
            self._holds_file = False
            self._ledger.use(self._account_id, files=1)

    def charge(self, size: int = 0, files: int = 0, *, search: Search | None = None) -> None:
        """Charge what is about to be written: the reservation first, then the free room, then the old file's.

        Raises QuotaExceeded, and then nothing has changed; with a `search` at once, see `Ledger.charge`.
        """
        reservation = self._reservation
        if reservation is None and self._ledger.spend(self._account_id, size, files):
            return
        held = min(size, reservation.size) if reservation else 0
        left = self._credit - self.borrowed
        self.borrowed += self._ledger.charge(
            self._account_id,
            size,
            files,
            credit_bytes=left.bytes,
            credit_files=left.files,
            held_bytes=held,
            search=search,
        )
        if reservation:
            reservation.use(held)

    def refund(self, size: int = 0, files: int = 0) -> None:
        """Give back what left the disk or never reached it; what was borrowed is paid first."""
        if files:
            self.count_file()
        repaid = Count(min(size, self.borrowed.bytes), min(files, self.borrowed.files))
        self._settle(repaid, Count(size, files))

    def cover(self, replaced: Count) -> None:
        """Pay what was borrowed beyond what is now to be replaced, because the old file has gone or shrunk.

        Raises QuotaExceeded when somebody else has taken that room, and then nothing has changed.
        """
        beyond = Count(
            max(0, self.borrowed.bytes - replaced.bytes),
            max(0, self.borrowed.files - replaced.files),
        )
        self._settle(beyond, NOTHING)

    def replace(self, replaced: Count) -> None:
        """The old file has gone: refund it and pay what was borrowed against it, in one step. Follows `cover`."""
        self._settle(self.borrowed, replaced)

    def release(self) -> None:
        """Give back what is left of the reservation."""
        if self._reservation:
            self._reservation.release()

    def _settle(self, repaid: Count, refunded: Count) -> None:
        if repaid.bytes or repaid.files:
            self._ledger.repay(self._account_id, repaid, refund_bytes=refunded.bytes, refund_files=refunded.files)
            self.borrowed -= repaid
        elif refunded.bytes or refunded.files:
            self._ledger.refund(self._account_id, refunded.bytes, refunded.files)
