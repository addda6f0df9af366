"""What one command may use, and how that becomes limits that the kernel holds each of its processes to.

The one rule: every limit has a number; None alone means that there is none.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one command with all that it starts, where nothing else is said; the defaults are the configuration's."""

    cpu_s: float = 3600.0
    wall_s: float = 43200.0
    memory_bytes: int = _GIB
    processes: int = 256
    open_files: int = 1024  # of each process
    output_bytes: int = 64 * _GIB
    tmp_bytes: int = 256 * _MIB  # of /tmp, and as much of /dev/shm
    disk_reserve_bytes: int = 256 * _MIB  # a command is stopped when the disk has less free
    commands_per_account: int = 8  # at once, in each worker


def of_each_process(limits: Limits, file_bytes: int | None, *, memory_is_shared: bool) -> dict[int, int]:
    """The values for setrlimit(2); no file may become longer than `file_bytes` (None: as it likes).

    With `memory_is_shared`, a cgroup bounds the memory of all processes together; without one, each has the limit.
    """
    chosen = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: max(1, round(limits.cpu_s)),
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: limits.processes,
        resource.RLIMIT_MEMLOCK: 64 * 1024,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if file_bytes is not None:
        chosen[resource.RLIMIT_FSIZE] = max(file_bytes, _MIB)  # it holds for /tmp, too
    if not memory_is_shared:
        chosen[resource.RLIMIT_AS] = limits.memory_bytes
    return chosen
