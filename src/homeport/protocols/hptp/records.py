"""Frames as TLS takes them best: its records are 16 KiB, and each costs, so they are filled.

The one rule: what is large goes out of the memory where it is; only the edges of frames are copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from homeport.protocols.hptp.output import Buffer

RECORD_BYTES = 16 * 1024
_JOINED_BYTES = 4 * RECORD_BYTES  # of small frames, in one call


def in_records(buffers: Iterable[Buffer]) -> Iterator[Buffer]:
    """The same bytes in pieces for one call of TLS each; all but the last fill their records, or are made of small
    frames alone.
    """
    waiting: list[Buffer] = []
    size = 0
    for buffer in buffers:
        if len(buffer) <= RECORD_BYTES:
            waiting.append(buffer)
            size += len(buffer)
            if size >= _JOINED_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
            continue
        view = memoryview(buffer)
        if size:
            edge = -size % RECORD_BYTES
            waiting.append(view[:edge])
            yield b"".join(waiting)
            view = view[edge:]
        whole = len(view) - len(view) % RECORD_BYTES
        if whole:
            yield view[:whole]
        size = len(view) - whole
        waiting = [view[whole:]] if size else []
    if waiting:
        yield b"".join(waiting)
