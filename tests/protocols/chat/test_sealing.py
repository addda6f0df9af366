"""The keys of this suite seal nothing else."""

from __future__ import annotations

import pytest

from homeport.protocols.chat.sealing import crypto_of

OURS, THEIRS = bytes(range(32)), bytes(32)


def zeros(size: int) -> bytes:
    return bytes(size)


def test_one_side_opens_what_the_other_sealed() -> None:
    client, server = crypto_of(OURS, THEIRS, zeros), crypto_of(THEIRS, OURS, zeros)
    for one, other in ((client, server), (server, client)):
        sealed = one.seal(2**62 - 1, b"hello", b"header")
        assert len(sealed) == len(b"hello") + 16
        assert other.open(2**62 - 1, sealed, b"header") == b"hello"
    assert client.random(3) == bytes(3)


@pytest.mark.parametrize(
    ("number", "flip", "header"),
    [(8, 0, b"header"), (7, 1, b"header"), (7, 0, b"other"), (7, 0, b"")],
    ids=["another number", "another byte", "another header", "no header"],
)
def test_what_was_changed_on_the_way_is_not_opened(number: int, flip: int, header: bytes) -> None:
    sealed = bytearray(crypto_of(OURS, THEIRS, zeros).seal(7, b"hello", b"header"))
    sealed[0] ^= flip
    assert crypto_of(THEIRS, OURS, zeros).open(number, bytes(sealed), header) is None


def test_what_is_too_short_or_ones_own_is_not_opened() -> None:
    client = crypto_of(OURS, THEIRS, zeros)
    assert client.open(1, b"", b"") is None
    assert client.open(1, client.seal(1, b"hello", b""), b"") is None


def test_the_bytes_on_the_wire() -> None:
    assert crypto_of(OURS, THEIRS, zeros).seal(1, b"hi", b"h").hex() == "0135534157988bf5cb8495349a5a1dcd8590"
