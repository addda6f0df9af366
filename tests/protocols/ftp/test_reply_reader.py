"""Replies of servers good and bad: each case whole, byte by byte, and with more behind it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.ftp import reply_reader
from homeport.protocols.ftp.reply_reader import ReplyError, ReplyReader, ServerReply

REPLIES: list[tuple[bytes, ServerReply]] = [
    (b"220 ready\r\n", ServerReply(220, (b"ready",))),
    (b"220 ready\n", ServerReply(220, (b"ready",))),
    (b"200\r\n", ServerReply(200, (b"",))),
    (b"220-one\r\n two\r\n220 three\r\n", ServerReply(220, (b"one", b" two", b"three"))),
    (b"220-one\r\n220-two\r\n220 three\r\n", ServerReply(220, (b"one", b"two", b"three"))),
    (b"211-a\r\n226 not the end\r\n211 end\r\n", ServerReply(211, (b"a", b"226 not the end", b"end"))),
    (b"211-a\r\n\r\n211\r\n", ServerReply(211, (b"a", b"", b""))),
    ("250 中文\r\n".encode("gb18030"), ServerReply(250, ("中文".encode("gb18030"),))),
]


@pytest.mark.parametrize(("wire", "reply"), REPLIES)
def test_whole_byte_by_byte_and_with_more_behind(wire: bytes, reply: ServerReply) -> None:
    whole, trickle, more = ReplyReader(), ReplyReader(), ReplyReader()
    whole.receive(wire)
    for number in range(len(wire)):
        trickle.receive(wire[number : number + 1])
    more.receive(wire + b"226 do")
    assert whole.replies() == trickle.replies() == more.replies() == [reply]
    assert whole.is_clean
    assert not more.is_clean
    assert whole.replies() == []


def test_kinds_of_replies() -> None:
    assert ServerReply(150, (b"",)).is_preliminary
    assert not ServerReply(226, (b"",)).is_preliminary
    assert ServerReply(350, (b"a", b"b")).is_success
    assert not ServerReply(421, (b"",)).is_success
    assert ServerReply(350, (b"a", b"b")).text == b"b"


@pytest.mark.parametrize(
    ("wire", "sentence"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "the server speaks SSH on this port, not FTP; is it the right port?"),
        (b"HTTP/1.1 400\r\n", "the server sent something that is no FTP reply: b'HTTP/1.1 400'"),
        (b"999 what\r\n", "the server sent something that is no FTP reply: b'999 what'"),
        (b"22 what\r\n", "the server sent something that is no FTP reply: b'22 what'"),
        (b"2200 what\r\n", "the server sent something that is no FTP reply: b'2200 what'"),
        (b"220 " + b"x" * 100, "the server sent a line of more than 64 bytes"),
        (b"220 " + b"x" * 100 + b"\r\n", "the server sent a line of more than 64 bytes"),
        (b"220-a\r\n" + b"b\r\n" * 10, "the server sent a reply of more than 4 lines"),
    ],
)
def test_what_is_no_reply_is_refused(wire: bytes, sentence: str) -> None:
    reader = ReplyReader(max_line_bytes=64, max_lines=4)
    with pytest.raises(ReplyError) as refusal:
        reader.receive(wire)
    assert str(refusal.value) == sentence


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_split_gives_the_same(wire: bytes, step: int) -> None:
    def read(pieces: list[bytes]) -> object:
        reader = ReplyReader(max_line_bytes=80, max_lines=5)
        try:
            for piece in pieces:
                reader.receive(piece)
        except ReplyError:
            return "refused"
        return reader.replies()

    assert read([wire]) == read([wire[at : at + step] for at in range(0, len(wire), step)])


PARSED: list[tuple[Callable[[bytes], object], bytes, object]] = [
    (reply_reader.extended_passive_port, b"Entering Extended Passive Mode (|||2345|)", 2345),
    (reply_reader.extended_passive_port, b"(!!!65535!)", 65535),
    (reply_reader.passive_port, b"Entering Passive Mode (127,0,0,1,9,41).", 2345),
    (reply_reader.passive_port, b"=10,0,0,9,0,21", 21),
    (reply_reader.quoted_path, b'"/a ""b"" c" is the current folder', b'/a "b" c'),
    (reply_reader.quoted_path, b'"" created', b""),
    (reply_reader.size, b"1234", 1234),
    (reply_reader.machine_entry, b"Type=file;Size=12; a; b", ({"type": "file", "size": "12"}, b"a; b")),
    (reply_reader.machine_entry, b"  leading", ({}, b" leading")),
    (reply_reader.machine_entry, b"odd;type=dir; d", ({"type": "dir"}, b"d")),
]


@pytest.mark.parametrize(("parse", "text", "value"), PARSED)
def test_facts_in_texts(parse: Callable[[bytes], object], text: bytes, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "sentence"),
    [
        (reply_reader.extended_passive_port, b"(|||0|)", "the server announced no usable data port: b'(|||0|)'"),
        (
            reply_reader.extended_passive_port,
            b"(|||99999|)",
            "the server announced no usable data port: b'(|||99999|)'",
        ),
        (reply_reader.extended_passive_port, b"ok", "the server announced no usable data port: b'ok'"),
        (reply_reader.passive_port, b"(1,2,3,4)", "the server announced no usable data port: b'(1,2,3,4)'"),
        (reply_reader.passive_port, b"(1,2,3,4,999,1)", "the server announced no usable data port: b'(1,2,3,4,999,1)'"),
        (reply_reader.quoted_path, b"/a", "the server named no folder: b'/a'"),
        (reply_reader.size, b"lots", "the server named no size: b'lots'"),
        (reply_reader.size, b"9" * 20, f"the server named no size: {b'9' * 20!r}"),
        (reply_reader.machine_entry, b"type=file;size=1;", "the server sent no entry: b'type=file;size=1;'"),
        (reply_reader.machine_entry, b"type=file name", "the server sent no entry: b'type=file name'"),
    ],
)
def test_texts_without_the_fact_are_refused(parse: Callable[[bytes], object], text: bytes, sentence: str) -> None:
    with pytest.raises(ReplyError) as refusal:
        parse(text)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        (b"SHA-256 0-49 " + b"aB" * 32 + b" name", "SHA-256"),
        (b"SHA-256 0-49 " + b"aB" * 32, "SHA-256"),
        (b"ab" * 32, "SHA-256"),
        (b"XMD5 of file.bin: " + b"AB" * 16, "MD5"),
        (b"ABABABAB", "CRC32"),
    ],
)
def test_digests(text: bytes, algorithm: str) -> None:
    value = reply_reader.hash_value(text, algorithm=algorithm)
    assert value == "ab" * (len(value) // 2)


@pytest.mark.parametrize(
    ("text", "algorithm"), [(b"done", "MD5"), (b"ab" * 16, "SHA-256"), (b"SHA-1 0-9 abcd", "SHA-1")]
)
def test_no_digest(text: bytes, algorithm: str) -> None:
    with pytest.raises(ReplyError, match=f"the server named no {algorithm} digest"):
        reply_reader.hash_value(text, algorithm=algorithm)


def test_features() -> None:
    lines = (b"Features:", b" UTF8", b" HASH SHA-256*;MD5", b" AUTH TLS", b"auth SSL", b"", b"End")
    assert reply_reader.features(ServerReply(211, lines)) == {
        "UTF8": "",
        "HASH": "SHA-256*;MD5",
        "AUTH": "TLS SSL",
    }
