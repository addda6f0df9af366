"""The client's packets against the server's reader of them, and the server's answers against the client's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from homeport.protocols.sftp import asking, replies, requests
from homeport.protocols.sftp.answered import (
    MAX_EXTENSIONS,
    Answer,
    AttributesAnswer,
    DataAnswer,
    Entry,
    ExtendedAnswer,
    HandleAnswer,
    NamesAnswer,
    StatusAnswer,
    parse_answer,
    parse_version,
)
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Open, Status, Type
from homeport.protocols.sftp.packets import PacketReader
from homeport.protocols.sftp.wire import Malformed, string, u32, u64

ATTRIBUTES = Attributes(5, (1, 2), 0o100644, (3, 4))

ASKED: list[tuple[bytes, requests.Request]] = [
    (
        asking.open_file(1, b"/a", Open.WRITE | Open.CREATE),
        requests.OpenFile(1, "/a", Open.WRITE | Open.CREATE, Attributes()),
    ),
    (asking.read(2, b"h", 2**40, 7), requests.Read(2, b"h", 2**40, 7)),
    (asking.write(3, b"h", 9, memoryview(b"data")), requests.Write(3, b"h", 9, memoryview(b"data"))),
    (asking.about(4, Type.STAT, b"/a"), requests.Stat(4, "/a")),
    (asking.about(5, Type.CLOSE, b"h"), requests.Close(5, b"h")),
    (asking.make_folder(6, b"/d"), requests.MakeFolder(6, "/d", Attributes())),
    (
        asking.set_attributes(7, b"/a", Attributes(times=(1, 2))),
        requests.SetStat(7, "/a", Attributes(times=(1, 2))),
    ),
    (asking.rename(8, b"/a", b"/b"), requests.Rename(8, "/a", "/b")),
    (asking.extended(9, b"reserve@homeport", u64(5)), requests.Reserve(9, 5)),
    (asking.extended(10, b"partial-size@homeport", string(b"/a")), requests.PartialSize(10, "/a")),
    (asking.extended(11, b"usage@homeport"), requests.Usage(11)),
]


@pytest.mark.parametrize(("packet", "request_"), ASKED, ids=[type(row[1]).__name__ for row in ASKED])
def test_what_is_asked_is_understood(packet: bytes, request_: requests.Request) -> None:
    (found,) = PacketReader().receive(packet)
    assert requests.parse(found) == request_


def test_the_first_packet() -> None:
    (found,) = PacketReader().receive(asking.init())
    assert requests.parse_init(found) == requests.Init(3)


def inside(packet: bytes) -> memoryview:
    return memoryview(packet)[4:]


ANSWERED: list[tuple[bytes, Answer]] = [
    (replies.status(1, Status.FAILURE, "no"), StatusAnswer(1, 4, b"no")),
    (string(bytes([Type.STATUS]) + u32(1) + u32(0)), StatusAnswer(1, 0, b"")),
    (replies.handle(2, b"h"), HandleAnswer(2, b"h")),
    (replies.data_head(3, 2) + b"xy", DataAnswer(3, memoryview(b"xy"))),
    (
        replies.names(4, [replies.Name("a", "-rw a", ATTRIBUTES), replies.Name("\udcff", "", Attributes())]),
        NamesAnswer(4, (Entry(b"a", ATTRIBUTES), Entry(b"\xff", Attributes()))),
    ),
    (replies.attributes(5, ATTRIBUTES), AttributesAnswer(5, ATTRIBUTES)),
    (replies.extended(6, b"body"), ExtendedAnswer(6, memoryview(b"body"))),
]


@pytest.mark.parametrize(("packet", "answer"), ANSWERED, ids=[type(row[1]).__name__ for row in ANSWERED])
def test_what_is_answered_is_understood(packet: bytes, answer: Answer) -> None:
    assert parse_answer(inside(packet)) == answer


def test_the_servers_first_packet() -> None:
    assert parse_version(inside(replies.version([("a", "1"), ("b", "")]))) == {b"a": b"1", b"b": b""}


def of(kind: int, *fields: bytes) -> memoryview:
    return memoryview(bytes([kind]) + b"".join(fields))


MALFORMED: list[tuple[Callable[[memoryview], object], memoryview, str]] = [
    (parse_version, of(Type.STATUS, u32(3)), "the first packet is of type 101 and not the version"),
    (parse_version, of(Type.VERSION, u32(6)), "version 6 of SFTP was not asked for"),
    (parse_version, of(Type.VERSION), "the packet ends too early"),
    (
        parse_version,
        of(Type.VERSION, u32(3), *(string(f"{n}".encode()) + string(b"") for n in range(MAX_EXTENSIONS + 1))),
        f"more than {MAX_EXTENSIONS} extensions",
    ),
    (parse_answer, of(Type.OPEN, u32(1)), "a packet of type 3 is no answer"),
    (parse_answer, of(Type.STATUS), "the packet ends too early"),
    (parse_answer, of(Type.NAME, u32(1), u32(2**32 - 1)), "the packet ends too early"),
    (parse_answer, of(Type.DATA, u32(1), u32(2**32 - 1), b"x"), "the packet ends too early"),
]


@pytest.mark.parametrize(("parse", "packet", "text"), MALFORMED)
def test_what_is_no_answer(parse: Callable[[memoryview], object], packet: memoryview, text: str) -> None:
    with pytest.raises(Malformed) as raised:
        parse(packet)
    assert str(raised.value) == text
