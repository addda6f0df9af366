"""Bytes -> lines: Telnet, ends of lines, limits; whole, byte by byte, and with more behind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.ftp.driver import whole_and_bytewise

from homeport.protocols.ftp.lines import Fault, LineReader

CASES: list[tuple[bytes, list[bytes | Fault]]] = [
    (b"NOOP\r\n", [b"NOOP"]),
    (b"NOOP\n", [b"NOOP"]),
    (b"\n\r\nPWD\r\n", [b"", b"", b"PWD"]),
    (b"CWD  a \r\n", [b"CWD  a "]),
    (b"a\0b\r\nc\r\n", [Fault.CONTROL, b"c"]),
    (b"a\rb\r\nc\r\n", [Fault.CONTROL, b"c"]),
    (b"a\r\r\n", [Fault.CONTROL]),
    (b"\xff\xf4\xff\xf2ABOR\r\n", [b"ABOR"]),
    (b"\xff\xf4\xf2ABOR\r\n", [b"ABOR"]),
    (b"\xffABOR\r\n", [b"ABOR"]),
    (b"CWD \xffabc\r\n", [b"CWD \xffabc"]),
    (b"CWD \xff\xffa\r\n", [b"CWD \xffa"]),
    (b"NO\xff\xfb\x01OP\r\n", [b"NOOP"]),
    (b"NO\xff\xfe\xffOP\r\n", [b"NOOP"]),
    (b"NO\xff\xfa\x18\x01abc\xff\xffd\xff\xf0OP\r\n", [b"NOOP"]),
    (b"a" * 20 + b"\r\n", [b"a" * 20]),
    (b"a" * 21 + b"\r\n", [Fault.TOO_LONG, Fault.TOO_LONG]),
    (b"a" * 22, [Fault.TOO_LONG, Fault.TOO_LONG]),
    (b"\x16\x03\x01", [Fault.TLS_HELLO, Fault.TLS_HELLO]),
    (b"x\x16\r\n", [b"x\x16"]),
    (b"x\n\x16\x03\n", [b"x", b"\x16\x03"]),
]


@pytest.mark.parametrize(("data", "lines"), CASES)
@pytest.mark.parametrize("behind", [b"", b"NO"])
def test_lines(data: bytes, lines: list[bytes | Fault], behind: bytes) -> None:
    for pieces in whole_and_bytewise(data + behind):
        reader = LineReader(20, plain=True)
        found: list[bytes | Fault] = []
        for piece in pieces:
            reader.receive(piece)
            while len(found) < len(lines) and (line := reader.take()) is not None:
                found.append(line)
        assert found == lines
        if lines[-1] not in (Fault.TOO_LONG, Fault.TLS_HELLO):
            assert reader.take() is None
            assert len(reader) == len(behind)
        reader.clear()
        assert len(reader) == 0


@pytest.mark.parametrize("nothing", [b"\xff\xf1", b"\xff\xfb\x01", b"\xff\xfa" + b"a" * 98])
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_telnet_commands_count_as_part_of_a_line(nothing: bytes, piece: int) -> None:
    """Or a stream of nothing else keeps the server busy for ever, without a login and without a line."""
    reader = LineReader(20, plain=True)
    stream = b"NOOP\r\n" + nothing * 1000
    for start in range(0, len(stream), piece):
        reader.receive(stream[start : start + piece])
    assert reader.take() == b"NOOP"
    assert reader.take() is Fault.TOO_LONG


def test_telnet_commands_of_earlier_lines_do_not_count() -> None:
    reader = LineReader(20, plain=True)
    for _ in range(50):
        reader.receive(b"\xff\xf1" * 5)
        reader.receive(b"NOOP\r\n")
        assert reader.take() == b"NOOP"
        reader.receive(b"\xff\xf1" * 5 + b"NOOP\r\n")
        assert reader.take() == b"NOOP"
        assert reader.take() is None


def test_inside_tls_a_hello_is_a_line_like_others() -> None:
    reader = LineReader(20, plain=False)
    reader.receive(b"\x16\x03\n")
    assert reader.take() == b"\x16\x03"


@given(st.lists(st.binary(max_size=60)))
def test_memory_is_bounded_by_one_line(pieces: list[bytes]) -> None:
    reader = LineReader(20, plain=True)
    for piece in pieces:
        reader.receive(piece)
        for _ in range(100):
            line = reader.take()
            if not isinstance(line, bytes) and line is not Fault.CONTROL:
                break
        assert len(reader) <= 21
        assert len(reader._telnet.pending) <= 3
