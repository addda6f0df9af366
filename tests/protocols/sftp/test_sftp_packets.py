"""Packets out of a stream: whole, byte by byte, many at once; and what ends the stream."""

from __future__ import annotations

import pytest

from homeport.protocols.sftp.constants import MAX_PACKET_BYTES
from homeport.protocols.sftp.packets import PacketReader
from homeport.protocols.sftp.wire import Malformed, string

PACKETS = [b"a", b"bc", b"d" * 300, b"e" * MAX_PACKET_BYTES, b"f"]
STREAM = b"".join(map(string, PACKETS))


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 64, 32768, len(STREAM)])
def test_packets_come_out_as_they_were_put_in(step: int) -> None:
    stream = STREAM if step > 64 else b"".join(map(string, PACKETS[:3]))
    reader, found = PacketReader(), []
    for at in range(0, len(stream), step):
        found += [bytes(packet) for packet in reader.receive(stream[at : at + step])]
    assert found == (PACKETS if step > 64 else PACKETS[:3])


def test_what_came_whole_is_not_copied() -> None:
    data = string(b"whole")
    (packet,) = PacketReader().receive(data)
    assert packet.obj is data


def test_what_is_left_over_keeps_nothing_else() -> None:
    reader = PacketReader()
    reader.receive(string(b"x" * 100_000) + b"\0\0")
    assert reader.receive(b"\0\1y") == [b"y"]


@pytest.mark.parametrize("length", [0, MAX_PACKET_BYTES + 1, 2**31, 2**32 - 1])
def test_a_packet_of_an_impossible_length_breaks_the_stream(length: int) -> None:
    reader = PacketReader()
    with pytest.raises(Malformed, match=rf"^a packet of {length} bytes; the most is {MAX_PACKET_BYTES}$"):
        reader.receive(length.to_bytes(4, "big"))
    with pytest.raises(Malformed, match=r"^the stream of packets is broken$"):
        reader.receive(string(b"a"))
