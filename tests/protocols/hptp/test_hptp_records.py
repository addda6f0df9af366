"""Frames in pieces that fill TLS records: the same bytes in the same order, and little of them copied."""

from __future__ import annotations

import pytest

from homeport.protocols.hptp.records import RECORD_BYTES, in_records

HEAD = b"h" * 12
LARGE = bytes(range(256)) * 1024  # 256 KiB


@pytest.mark.parametrize(
    ("buffers", "sizes"),
    [
        ([], []),
        ([b"a", b"bc"], [3]),
        ([HEAD, LARGE], [RECORD_BYTES, len(LARGE) - RECORD_BYTES, 12]),
        ([LARGE], [len(LARGE)]),
        ([LARGE, LARGE], [len(LARGE), len(LARGE)]),
        ([HEAD, memoryview(LARGE), HEAD, LARGE], [16384, 245760, 16384, 245760, 24]),
        ([HEAD, LARGE[: RECORD_BYTES + 1]], [RECORD_BYTES, 13]),
        ([LARGE[:RECORD_BYTES], LARGE], [RECORD_BYTES, len(LARGE)]),
        ([b"x" * 5000] * 20, [70_000, 30_000]),
        ([LARGE[:-5], b"end"], [245_760, RECORD_BYTES - 2]),
    ],
)
def test_pieces(buffers: list[bytes | memoryview], sizes: list[int]) -> None:
    pieces = list(in_records(buffers))
    assert b"".join(pieces) == b"".join(buffers)
    assert [len(piece) for piece in pieces] == sizes


def test_what_is_large_is_not_copied() -> None:
    pieces = list(in_records([HEAD, LARGE]))
    assert isinstance(pieces[1], memoryview)
    assert pieces[1].obj is LARGE
