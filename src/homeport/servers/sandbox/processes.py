"""Looking at the processes of one sandbox from outside, through /proc.

The one rule: what is gone meanwhile was never there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_MOST = 10_000  # processes; a sandbox has fewer


def command_of(first: int) -> int | None:
    """The command itself: what the sandbox's first process started; None when it has ended."""
    return next(_children(first), None)


def cpu_s(first: int) -> float:
    """Seconds of processor time that the sandbox has used so far, its ended processes' too."""
    return sum(map(_ticks, _tree(first))) / _TICKS_PER_S


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
