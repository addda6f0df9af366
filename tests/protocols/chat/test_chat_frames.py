from __future__ import annotations

import random

import pytest

from homeport.protocols.chat.frames import (
    CHALLENGE_BYTES,
    HEADER_BYTES,
    MAX_BYTES,
    MAX_PLAIN_BYTES,
    PART_BYTES,
    Ack,
    BadDatagram,
    Challenge,
    Close,
    Frame,
    Header,
    Ping,
    Response,
    Segment,
    pack_frame,
    pack_header,
    read_frames,
    read_header,
)

TABLE: list[tuple[Frame, str]] = [
    (Ack(258, 5), "01 0000000000000102 0000000000000005"),
    (Segment(7, b"hi", is_last=False), "02 0000000000000007 00 0002 6869"),
    (Segment(8, b"", is_last=True), "02 0000000000000008 01 0000"),
    (Ping(b"12345678"), "03 3132333435363738"),
    (Challenge(b"12345678"), "04 3132333435363738"),
    (Response(b"12345678"), "05 3132333435363738"),
    (Close("bye"), "06 0003 627965"),
]


@pytest.mark.parametrize(("frame", "wire"), TABLE)
def test_frames_both_ways(frame: Frame, wire: str) -> None:
    packed = bytes.fromhex(wire)
    assert pack_frame(frame) == packed
    assert read_frames(packed) == [frame]
    for cut in range(1, len(packed)):
        with pytest.raises(BadDatagram, match=r"^a frame is cut$"):
            read_frames(packed[:cut])


def test_many_frames_in_one_datagram() -> None:
    assert read_frames(b"".join(pack_frame(frame) for frame, _ in TABLE)) == [frame for frame, _ in TABLE]
    assert read_frames(b"") == []


@pytest.mark.parametrize("kind", [0, 7, 255])
def test_unknown_frames(kind: int) -> None:
    with pytest.raises(BadDatagram, match=f"^no frame is of type {kind}$"):
        read_frames(bytes([kind]) * 20)


def test_a_reason_is_bounded_and_readable() -> None:
    (frame,) = read_frames(pack_frame(Close("é" * 200)))
    assert frame == Close("é" * 100)
    assert read_frames(b"\x06\x00\x01\xff") == [Close("\ufffd")]


def test_headers() -> None:
    packed = pack_header(Header(b"0123456789abcdef", 3))
    assert packed == bytes.fromhex("01") + b"0123456789abcdef" + bytes.fromhex("0000000000000003")
    assert read_header(packed + bytes(16)) == Header(b"0123456789abcdef", 3)
    assert read_header((packed + bytes(MAX_BYTES))[:MAX_BYTES]).number == 3


@pytest.mark.parametrize("datagram", [b"", b"\x01" * (HEADER_BYTES + 15), b"\x02" * 100, b"\x01" * (MAX_BYTES + 1)])
def test_what_is_no_datagram_of_ours(datagram: bytes) -> None:
    with pytest.raises(BadDatagram, match=r"^no datagram of this chat$"):
        read_header(datagram)


def test_sizes() -> None:
    full = pack_frame(Ack(0)) + pack_frame(Segment(0, bytes(PART_BYTES), is_last=True))
    assert len(full) == MAX_PLAIN_BYTES
    assert CHALLENGE_BYTES == 50


def test_u3_noise_gives_frames_or_the_error() -> None:
    noise = random.Random(2)
    for _ in range(20_000):
        plain = bytes([noise.choice([1, 2, 3, 4, 5, 6, 9])]) + noise.randbytes(noise.randrange(60))
        try:
            assert read_frames(plain)
        except BadDatagram:
            continue
