"""Requests: each kind from its bytes, whole, cut anywhere, and with something behind it."""

from __future__ import annotations

import struct

import pytest

from homeport.protocols.sftp import requests
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Open
from homeport.protocols.sftp.requests import MalformedRequest, parse, parse_init
from homeport.protocols.sftp.wire import Malformed, string, text, u32, u64

ID = 0x01020304
ALL = Attributes(5, (1, 2), 0o100644, (3, 4))
NONE = Attributes()
SHA = "ab" * 32


def packet(kind: int, *fields: bytes) -> bytes:
    return bytes([kind]) + u32(ID) + b"".join(fields)


def extended(name: str, *fields: bytes) -> bytes:
    return packet(200, text(name), *fields)


CHECK_FIELDS = (text("md5,,sha256"), u64(1), u64(2), u32(3))
CHECK = ("md5", "sha256"), 1, 2, 3
CASES: list[tuple[requests.Request, bytes]] = [
    (
        requests.OpenFile(ID, "/a", Open.WRITE | Open.CREATE, ALL),
        packet(3, text("/a"), u32(0xFFC0 | 0x0A), ALL.encoded()),
    ),
    (requests.Close(ID, b"h"), packet(4, string(b"h"))),
    (requests.Read(ID, b"h", 2**63, 2**32 - 1), packet(5, string(b"h"), u64(2**63), u32(2**32 - 1))),
    (requests.Write(ID, b"h", 7, memoryview(b"data")), packet(6, string(b"h"), u64(7), string(b"data"))),
    (requests.LinkStat(ID, "/a"), packet(7, text("/a"))),
    (requests.HandleStat(ID, b"h"), packet(8, string(b"h"))),
    (requests.SetStat(ID, "/a", NONE), packet(9, text("/a"), NONE.encoded())),
    (requests.HandleSetStat(ID, b"h", ALL), packet(10, string(b"h"), ALL.encoded())),
    (requests.OpenFolder(ID, "/a"), packet(11, text("/a"))),
    (requests.ReadFolder(ID, b"h"), packet(12, string(b"h"))),
    (requests.Remove(ID, "/a"), packet(13, text("/a"))),
    (requests.MakeFolder(ID, "/a", NONE), packet(14, text("/a"), NONE.encoded())),
    (requests.RemoveFolder(ID, "/a"), packet(15, text("/a"))),
    (requests.RealPath(ID, ""), packet(16, text(""))),
    (requests.Stat(ID, "/\udcff"), packet(17, string(b"/\xff"))),
    (requests.Rename(ID, "/a", "/b"), packet(18, text("/a"), text("/b"))),
    (requests.ReadLink(ID, "/a"), packet(19, text("/a"))),
    (requests.MakeLink(ID, "/a", "/b"), packet(20, text("/a"), text("/b"))),
    (requests.PosixRename(ID, "/a", "/b"), extended("posix-rename@openssh.com", text("/a"), text("/b"))),
    (requests.FileSystem(ID, "/a"), extended("statvfs@openssh.com", text("/a"))),
    (requests.HandleFileSystem(ID, b"h"), extended("fstatvfs@openssh.com", string(b"h"))),
    (requests.HardLink(ID, "/a", "/b"), extended("hardlink@openssh.com", text("/a"), text("/b"))),
    (requests.Flush(ID, b"h"), extended("fsync@openssh.com", string(b"h"))),
    (requests.LinkSetStat(ID, "/a", ALL), extended("lsetstat@openssh.com", text("/a"), ALL.encoded())),
    (requests.Limits(ID), extended("limits@openssh.com")),
    (
        requests.CopyData(ID, b"h", 1, 2, b"i", 3),
        extended("copy-data", string(b"h"), u64(1), u64(2), string(b"i"), u64(3)),
    ),
    (requests.ExpandPath(ID, "~/x"), extended("expand-path@openssh.com", text("~/x"))),
    (requests.HomeFolder(ID, "ann"), extended("home-directory", text("ann"))),
    (
        requests.NamesOfIds(ID, (1, 2), ()),
        extended("users-groups-by-id@openssh.com", string(u32(1) + u32(2)), string(b"")),
    ),
    (requests.CheckFile(ID, None, b"h", *CHECK), extended("check-file", string(b"h"), *CHECK_FIELDS)),
    (requests.CheckFile(ID, None, b"h", *CHECK), extended("check-file-handle", string(b"h"), *CHECK_FIELDS)),
    (requests.CheckFile(ID, "/a", None, *CHECK), extended("check-file-name", text("/a"), *CHECK_FIELDS)),
    (requests.Md5(ID, "/a", None, 1, 2, b"q"), extended("md5-hash", text("/a"), u64(1), u64(2), string(b"q"))),
    (requests.Md5(ID, None, b"h", 1, 2, b""), extended("md5-hash-handle", string(b"h"), u64(1), u64(2), string(b""))),
    (
        requests.BeginUpload(ID, "/a", True, 9, None, None),
        extended("upload@homeport", text("/a"), u32(1), u64(9), u64(5), text("")),
    ),
    (
        requests.BeginUpload(ID, "/a", False, 0, 5, SHA),
        extended("upload@homeport", text("/a"), u32(2), u64(0), u64(5), text(SHA)),
    ),
    (requests.PartialSize(ID, "/a"), extended("partial-size@homeport", text("/a"))),
    (requests.Reserve(ID, 5), extended("reserve@homeport", u64(5))),
    (requests.Usage(ID), extended("usage@homeport")),
]
NAMES = [f"{type(request).__name__}-{number}" for number, (request, _) in enumerate(CASES)]


@pytest.mark.parametrize(("request_", "data"), CASES, ids=NAMES)
def test_a_request_is_read(request_: requests.Request, data: bytes) -> None:
    assert parse(memoryview(data)) == request_


@pytest.mark.parametrize(("request_", "data"), CASES, ids=NAMES)
def test_what_later_versions_add_behind_it_is_ignored(request_: requests.Request, data: bytes) -> None:
    assert parse(memoryview(data + b"more")) == request_


@pytest.mark.parametrize("data", [data for _, data in CASES], ids=NAMES)
def test_a_request_that_ends_too_early_is_malformed_and_can_be_answered(data: bytes) -> None:
    for size in range(5, len(data)):
        with pytest.raises(MalformedRequest, match=r"^the packet ends too early$") as caught:
            parse(memoryview(data[:size]))
        assert caught.value.id == ID


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_packet_without_its_id_cannot_be_answered(size: int) -> None:
    with pytest.raises(Malformed, match=r"^the packet ends too early$") as caught:
        parse(memoryview(packet(4)[:size]))
    assert not isinstance(caught.value, MalformedRequest)


def test_every_extension_in_the_table_is_tried_here() -> None:
    tried = {bytes(data[9 : 9 + int.from_bytes(data[5:9], "big")]).decode() for _, data in CASES if data[0] == 200}
    assert tried == set(requests.EXTENSIONS)


@pytest.mark.parametrize("kind", [0, 1, 2, 21, 101, 199, 255])
def test_a_type_that_nobody_knows_is_said_back(kind: int) -> None:
    assert parse(memoryview(packet(kind))) == requests.Unknown(ID, f"a packet of type {kind}")


def test_an_extension_that_nobody_knows_is_said_back_in_ascii() -> None:
    assert parse(memoryview(extended("\x1b[31m" + "x" * 99))) == requests.Unknown(
        ID, "the extension '\\x1b[31m" + "x" * 59 + "'"
    )


@pytest.mark.parametrize("digest", ["ab", "zz" * 32, SHA + "0"])
def test_a_digest_that_is_none_is_malformed(digest: str) -> None:
    data = extended("upload@homeport", text("/a"), u32(0), u64(0), u64(0), text(digest))
    with pytest.raises(MalformedRequest, match=r"^a SHA-256 has 64 hexadecimal digits$"):
        parse(memoryview(data))


def test_more_ids_than_anybody_shows_are_malformed() -> None:
    data = extended("users-groups-by-id@openssh.com", string(u32(1) * 1025), string(b""))
    with pytest.raises(MalformedRequest, match=r"^more than 1024 ids at once$"):
        parse(memoryview(data))


def test_more_extended_attributes_than_anybody_sends_are_malformed() -> None:
    with pytest.raises(MalformedRequest, match=r"^65 extended attributes are too many$"):
        parse(memoryview(packet(9, text("/a"), u32(0x80000000), u32(65))))


def test_extended_attributes_are_passed_over() -> None:
    data = packet(9, text("/a"), u32(0x80000004), u32(0o600), u32(1), string(b"name"), string(b"value"))
    assert parse(memoryview(data)) == requests.SetStat(ID, "/a", Attributes(mode=0o600))


def test_what_is_written_is_a_view_into_the_packet() -> None:
    data = packet(6, string(b"h"), u64(7), string(b"data"))
    request = parse(memoryview(data))
    assert isinstance(request, requests.Write)
    assert request.data.obj is data


def test_the_first_packet_says_the_version() -> None:
    assert parse_init(memoryview(b"\1" + struct.pack(">I", 6) + b"extensions")) == requests.Init(6)


@pytest.mark.parametrize(
    ("data", "why"), [(b"\3\0\0\0\3", "the first packet is no INIT"), (b"\1\0\0", "the packet ends too early")]
)
def test_another_first_packet_is_malformed(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=f"^{why}$"):
        parse_init(memoryview(data))
