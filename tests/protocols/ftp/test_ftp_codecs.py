"""TYPE A and MODE Z: any cut of the bytes gives the same, bombs and broken streams are noticed."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.ftp.driver import whole_and_bytewise

from homeport.protocols.ftp.codecs import AsciiDecoder, AsciiEncoder, BadStream, Deflater, Inflater

LINES = [
    # file, wire, file again
    (b"", b"", b""),
    (b"a\nb\n", b"a\r\nb\r\n", b"a\nb\n"),
    (b"a\r\nb", b"a\r\nb", b"a\nb"),
    (b"\n\n", b"\r\n\r\n", b"\n\n"),
    (b"\r\r\n\r", b"\r\r\n\r", b"\r\n\r"),
    (b"a\rb", b"a\rb", b"a\rb"),
    (b"\n\r", b"\r\n\r", b"\n\r"),
]


@pytest.mark.parametrize(("file", "wire", "back"), LINES)
def test_line_ends(file: bytes, wire: bytes, back: bytes) -> None:
    for pieces in whole_and_bytewise(file):
        encoder = AsciiEncoder()
        assert b"".join(encoder.encode(piece) for piece in [*pieces, b""]) == wire
    for pieces in whole_and_bytewise(wire):
        decoder = AsciiDecoder()
        assert b"".join([decoder.decode(piece) for piece in pieces] + [decoder.finish()]) == back
        assert decoder.finish() == b""


@given(st.lists(st.text("\r\nab", max_size=6).map(str.encode)))
def test_how_text_is_cut_changes_nothing(pieces: list[bytes]) -> None:
    encoder, decoder = AsciiEncoder(), AsciiDecoder()
    whole = b"".join(pieces)
    assert b"".join(encoder.encode(piece) for piece in pieces) == AsciiEncoder().encode(whole)
    once = AsciiDecoder()
    expected = once.decode(whole) + once.finish()
    assert b"".join([decoder.decode(piece) for piece in pieces] + [decoder.finish()]) == expected


def inflate(pieces: list[bytes], step: int) -> bytes:
    inflater = Inflater()
    output = b""
    for piece in pieces:
        data = piece
        while True:
            part = inflater.decode(data, step)
            assert len(part) <= step
            output += part
            data = b""
            if not inflater.has_more or not part:
                break
    inflater.finish()
    return output


@given(st.lists(st.binary(max_size=200)), st.integers(0, 9), st.integers(1, 300))
def test_deflate_both_ways(pieces: list[bytes], level: int, step: int) -> None:
    deflater = Deflater(level)
    wire = b"".join([deflater.encode(piece) for piece in pieces] + [deflater.finish()])
    for cut in whole_and_bytewise(wire):
        assert inflate(cut, step) == b"".join(pieces)


def test_a_bomb_costs_no_more_than_a_step() -> None:
    wire = zlib.compress(bytes(10_000_000), 9)
    inflater = Inflater()
    assert len(inflater.decode(wire, 1000)) == 1000
    assert inflater.has_more
    assert len(inflater.decode(b"", 1000)) == 1000


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (zlib.compress(b"abc") + b"x", "bytes after the end of the deflated stream"),
        (zlib.compress(b"abc")[:-1], "the deflated stream ends early"),
        (b"", "the deflated stream ends early"),
        (b"not deflated", "a damaged deflated stream: Error -3 .*"),
        (zlib.compress(b"abc")[:-1] + b"\0", "a damaged deflated stream: .*incorrect data check"),
    ],
)
def test_broken_streams(wire: bytes, why: str) -> None:
    for pieces in whole_and_bytewise(wire):
        with pytest.raises(BadStream, match=f"^{why}$"):
            inflate(pieces, 100)
