"""Replies: each as it stands on the wire, and attributes both ways."""

from __future__ import annotations

import itertools

import pytest

from homeport.protocols.sftp import replies
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Status
from homeport.protocols.sftp.replies import Name
from homeport.protocols.sftp.wire import Malformed, Reader, string, text, u32, u64

ID = 0x01020304
MODE = Attributes(mode=0o600)

CASES = [
    (replies.version([("a", "1")]), b"\2" + u32(3) + text("a") + text("1")),
    (replies.version([]), b"\2" + u32(3)),
    (replies.status(ID, Status.EOF, "end"), b"\x65" + u32(ID) + u32(1) + text("end") + text("en")),
    (replies.handle(ID, b"\0\1"), b"\x66" + u32(ID) + string(b"\0\1")),
    (replies.data_head(ID, 3) + b"abc", b"\x67" + u32(ID) + string(b"abc")),
    (
        replies.names(ID, [Name("\udcff", "line", MODE)]),
        b"\x68" + u32(ID) + u32(1) + string(b"\xff") + text("line") + u32(4) + u32(0o600),
    ),
    (replies.attributes(ID, MODE), b"\x69" + u32(ID) + u32(4) + u32(0o600)),
    (replies.extended(ID, b"payload"), b"\xc9" + u32(ID) + b"payload"),
]


@pytest.mark.parametrize(("made", "wanted"), CASES, ids=range(len(CASES)))
def test_a_reply_stands_on_the_wire_with_its_length(made: bytes, wanted: bytes) -> None:
    assert made == string(wanted)


def test_the_head_of_data_has_the_size_that_is_told() -> None:
    assert len(replies.data_head(ID, 3)) == replies.DATA_HEAD_BYTES


VALUES = {"size": 2**40, "owner": (1, 2), "mode": 0o100644, "times": (3, 4)}
SUBSETS = [names for count in range(5) for names in itertools.combinations(VALUES, count)]


@pytest.mark.parametrize("names", SUBSETS, ids=["+".join(names) or "none" for names in SUBSETS])
def test_attributes_go_both_ways(names: tuple[str, ...]) -> None:
    made = Attributes(**{name: VALUES[name] for name in names})  # type: ignore[arg-type]
    reader = Reader(memoryview(made.encoded()))
    assert Attributes.read(reader) == made
    assert reader.ended


@pytest.mark.parametrize(("time", "shown"), [(-1, 0), (2**32, 2**32 - 1), (7, 7)])
@pytest.mark.parametrize("size", [None, 1])
def test_times_that_four_bytes_cannot_hold_become_the_nearest(time: int, shown: int, size: int | None) -> None:
    rest = (None, None) if size is None else ((1, 1), 0)
    made = Attributes(size, rest[0], rest[1], (time, time))
    assert Attributes.read(Reader(memoryview(made.encoded()))).times == (shown, shown)


def test_a_reader_reads_what_was_written_and_nothing_beyond() -> None:
    reader = Reader(memoryview(b"\7" + u32(1) + u64(2) + string(b"three") + text("vier") + b"rest"))
    assert (reader.u8(), reader.u32(), reader.u64()) == (7, 1, 2)
    assert (bytes(reader.bytes_()), reader.text()) == (b"three", "vier")
    ends = [reader.ended, bytes(reader.rest()), reader.ended]
    assert ends == [False, b"rest", True]
    with pytest.raises(Malformed, match=r"^the packet ends too early$"):
        reader.u8()
