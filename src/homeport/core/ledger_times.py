"""How long the ledger waits for what, and where it has the time from.

The one rule: both are handed in, so that a test of what two processes do to each other needs no second of real time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LedgerTimes:
    """How long the ledger waits, in seconds."""

    recall_deadline_s: float = 2.0  # for others to give back what they do not need
    giving_way_deadline_s: float = 10.0  # for one younger upload in another process to give way
    freeze_deadline_s: float = 30.0  # for a recount to end, or for changes to end that a recount waits for
    retry_s: float = 0.005
    freeze_retry_s: float = 0.02
    poll_s: float = 0.04  # how soon this process answers others
    alert_s: float = 1.0  # after somebody was short of room, so long it answers within `retry_s`
    idle_s: float = 1.0  # an account without changes for one to two times this is given back whole
    heartbeat_s: float = 10.0
    background: bool = True  # False: no thread; whoever owns the ledger calls `attend` often


@dataclass(frozen=True, slots=True)
class LedgerClocks:
    """Where time comes from: `wall` since the epoch, `monotonic` for deadlines, and how to wait."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
