"""What the kernel knows of this machine's clock: whether somebody keeps it right, and how wrong it can be at most.

The one rule: what is not known is not claimed. Where the kernel cannot be asked, the clock counts as kept by nobody.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass

from homeport.protocols.ntp import Clock

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_LEAP_STATES = {1: 1, 2: 2}  # TIME_INS, TIME_DEL: the leap indicator of the same number
_ASK_EVERY_S = 1.0
_DRIFT = 500e-6  # the kernel lets the largest error grow so much a second (MAXFREQ)
_LOCAL = (
    b"\x7f\x7f\x01\x01"  # 127.127.1.1, a clock of the host's own: whoever keeps it does not tell the kernel its name
)
_NS = 1_000_000_000


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What adjtimex(2) returns: `state` (TIME_OK and so on), `status` bits, the largest error in microseconds."""

    state: int
    status: int
    max_error_us: int


def ask_kernel() -> KernelClock | None:
    """Ask without changing anything; None where that is not possible."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    told = _Timex()
    state = adjtimex(ctypes.byref(told))
    return KernelClock(state, told.status, told.maxerror) if state >= 0 else None


class HostClock:
    """The machine's clock as NTP describes clocks. `stratum` is told while the clock is kept right: by whom, and how
    far from a reference that is, the kernel does not know.
    """

    def __init__(
        self,
        stratum: int,
        ask: Callable[[], KernelClock | None] = ask_kernel,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.stratum = stratum
        self._ask = ask
        self._monotonic = monotonic
        self._wall_ns = wall_ns
        self._precision = precision_of(wall_ns)
        self._ask_at = 0.0
        self._known: Clock | None = None

    def read(self) -> Clock:
        """The clock as it was at most a second ago."""
        now = self._monotonic()
        if self._known is None or now >= self._ask_at:
            self._ask_at = now + _ASK_EVERY_S
            self._known = self._described(self._ask())
        return self._known

    def _described(self, kernel: KernelClock | None) -> Clock:
        if kernel is None or kernel.status & _STA_UNSYNC or kernel.state == _TIME_ERROR:
            return Clock(synchronised=False, precision=self._precision)
        error_s = kernel.max_error_us / 1e6
        return Clock(
            synchronised=True,
            stratum=self.stratum,
            leap=_LEAP_STATES.get(kernel.state, 0),
            precision=self._precision,
            dispersion_s=error_s + _ASK_EVERY_S * _DRIFT + 2.0**self._precision,
            reference_id=_LOCAL,
            # The error was nothing at best when the clock was last set, and has grown since: not before this it was.
            reference_ns=self._wall_ns() - int(error_s / _DRIFT * _NS),
        )


def precision_of(wall_ns: Callable[[], int]) -> int:
    """The power of two, in seconds, of the smallest step that the clock is seen to make (RFC 5905, section 7.3)."""
    steps = []
    for _ in range(100):
        before = wall_ns()
        while (now := wall_ns()) == before:
            pass
        steps.append(abs(now - before))
    return max(-30, (max(1, min(steps)) - 1).bit_length() - 30)  # 2^-30 s is a nanosecond, as near as matters
