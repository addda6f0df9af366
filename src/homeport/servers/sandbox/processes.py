"""Looking at the processes of one sandbox from outside, through /proc.

The one rule: what is gone meanwhile was never there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BLOCK_BYTES = 512  # what st_blocks counts (stat(2))
_MOST = 10_000  # processes; a sandbox has fewer


def command_of(first: int) -> int | None:
    """The command itself: what the sandbox's first process started; None when it has ended."""
    return next(_children(first), None)


def cpu_s(first: int) -> float:
    """Seconds of processor time that the sandbox has used so far, its ended processes' too."""
    return sum(map(_ticks, _tree(first))) / _TICKS_PER_S


def unlinked_bytes(first: int, device: int) -> int:
    """What files on `device` take that have no name any more and that the sandbox's processes have open."""
    found: dict[int, int] = {}
    for pid in _tree(first):
        for looked in _open_files(pid):
            if looked.st_nlink == 0 and looked.st_dev == device and stat.S_ISREG(looked.st_mode):
                found[looked.st_ino] = max(looked.st_size, looked.st_blocks * _BLOCK_BYTES)
    return sum(found.values())


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                yield os.stat(f"/proc/{pid}/fd/{name}")


def _tree(first: int) -> Iterator[int]:
    waiting, seen = [first], 0
    while waiting and seen < _MOST:
        pid = waiting.pop()
        seen += 1
        yield pid
        waiting += _children(pid)


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as listed:
                yield from map(int, listed.read().split())


def _ticks(pid: int) -> int:
    """Its own and those of children that it has waited for, in user and kernel mode (proc(5), stat)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as opened:
            fields = opened.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))
