"""One request and its answer, as both engines keep it: what each side has said, and the credit of either direction.

The one rule: a stream lives until it is answered and the client's half has ended, on both sides at the same frame.
"""

from __future__ import annotations

from homeport.protocols.hptp.states import Half, first_half
from homeport.protocols.hptp.windows import ReceiveWindow, SendWindow


class Stream:
    """`client` and `server`: what each side has said. `deaf`: what still comes means nothing to our program."""

    __slots__ = ("client", "deaf", "receiving", "sending", "server", "told")

    def __init__(self, op: str, receive_window: int, send_window: int) -> None:
        self.client = first_half(op)
        self.server = Half.SILENT
        self.receiving = ReceiveWindow(receive_window)
        self.sending = SendWindow(send_window)
        self.deaf = False
        self.told = False  # our program has been told the end already

    @property
    def is_over(self) -> bool:
        return self.server is Half.OVER and self.client is not Half.BODY
