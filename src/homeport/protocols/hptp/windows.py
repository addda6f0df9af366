"""Credit windows: how much DATA may be sent, and how much of what came has to be taken before more may come.

The one rule: credit is given back in large portions, at the latest when a quarter of the window is owed.
"""

from __future__ import annotations

from homeport.protocols.hptp.faults import FaultCode, ProtocolFault
from homeport.protocols.hptp.limits import MAX_WINDOW

_PORTIONS = 4


class SendWindow:
    """What the peer still takes."""

    __slots__ = ("credit",)

    def __init__(self, credit: int) -> None:
        self.credit = credit

    def grant(self, amount: int) -> None:
        """The peer takes `amount` bytes more. Raises ProtocolFault."""
        if not amount or self.credit + amount > MAX_WINDOW:
            raise ProtocolFault(FaultCode.WINDOW_MALFORMED, f"a credit of {amount} bytes onto {self.credit}")
        self.credit += amount


class ReceiveWindow:
    """What we still take: `room` bytes may come, `owed` bytes were consumed and not yet given back."""

    __slots__ = ("_portion", "owed", "room")

    def __init__(self, size: int) -> None:
        self.room = size
        self.owed = 0
        self._portion = max(1, size // _PORTIONS)

    def take(self, amount: int) -> bool:
        """Whether `amount` bytes that came had room."""
        self.room -= amount
        return self.room >= 0

    def consume(self, amount: int) -> int:
        """Bytes have found their place; what is to be given back now, 0 for nothing yet."""
        self.owed += amount
        if self.owed < self._portion:
            return 0
        portion, self.owed = self.owed, 0
        self.room += portion
        return portion
