"""How many processors this process may use, which is how many workers it is worth having.

One rule: what the scheduler and the control groups allow counts, not what the machine has: a container with two
processors on a machine with sixty-four gets two workers.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

MOST_WORKERS = 256
_CGROUP = Path("/sys/fs/cgroup")


def processors(cgroup: Path = _CGROUP) -> int:
    """The processors that this process may use; at least 1. `cgroup` is where control groups are mounted."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def worker_count(wanted: int) -> int:
    """The number of worker processes for the setting `workers`, of which 0 means one a processor."""
    return wanted or min(processors(), MOST_WORKERS)


def _quota(cgroup: Path) -> float | None:
    """How many processors' time the control group may spend, version 2 or 1; None without a bound."""
    with contextlib.suppress(OSError, ValueError):
        most, period = (cgroup / "cpu.max").read_text().split()
        return None if most == "max" else int(most) / int(period)
    with contextlib.suppress(OSError, ValueError):
        version_1 = cgroup / "cpu"
        most = (version_1 / "cpu.cfs_quota_us").read_text()
        return int(most) / int((version_1 / "cpu.cfs_period_us").read_text()) if int(most) > 0 else None
    return None
