"""Charsets and aliases of names on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.ftp.names import Names

CHARSETS = ["gb18030", "latin-1", "cp1251", "shift_jis", "big5", "euc_kr"]


def test_the_first_name_that_is_not_ascii_decides() -> None:
    assert Names("gb18030").charset is None
    names = Names("gb18030")
    assert names.decode_argument(b"plain") == "plain"
    assert names.encode("文") == "文".encode()
    assert names.decode_argument("文件".encode()) == "文件"
    assert names.charset == "utf-8"
    assert names.decode_argument("文件".encode("gb18030")) == "\udcce\u013c\udcfe"  # and it stays


def test_legacy_when_it_is_no_utf8() -> None:
    names = Names("gb18030")
    assert names.decode_argument("桜".encode("gb18030")) == "桜"
    assert names.charset == "gb18030"
    assert names.encode("桜") == "桜".encode("gb18030")
    assert names.encode("😀") == "😀".encode("gb18030")
    assert names.decode_argument(b"\xff") == "\udcff"


def test_bytes_that_fit_nothing_decide_nothing() -> None:
    names = Names("gb18030")
    assert names.decode_argument(b"caf\xe9.txt") == "caf\udce9.txt"
    assert names.charset is None


@pytest.mark.parametrize(("utf8", "charset"), [(True, "utf-8"), (False, "gb18030")])
def test_opts_utf8(utf8: bool, charset: str) -> None:
    names = Names("gb18030")
    names.choose(utf8=utf8)
    assert names.charset == charset
    forced = Names("gb18030", "big5")
    forced.choose(utf8=utf8)
    assert forced.charset == "big5"


def test_an_accounts_charset_is_forced() -> None:
    names = Names("gb18030")
    names.force(None)
    assert names.charset is None
    names.force("big5")
    names.choose(utf8=True)
    assert names.charset == "big5"


ALIASES = [
    ("a\nb", b"a%{A}b"),
    ("a\r\0b", b"a%{D}%{0}b"),
    ("\x1b[31m", b"%{1B}[31m"),
    ("\x7f\x85\u2028", b"%{7F}%{85}%{2028}"),
    ("100%", b"100%"),
    ("%{", b"%{"),
    ("%{A", b"%{A"),
    ("%{a}", b"%{a}"),
    ("%{41}", b"%{41}"),
    ("%{0A}", b"%{0A}"),
    ("%{FFFFFF}", b"%{FFFFFF}"),
    ("%{A}", b"%{25}{A}"),
    ("%{25}{A}", b"%{25}{25}{A}"),
    ("%{4E2D}", b"%{25}{4E2D}"),
    ("a\nb%c%{", b"a%{A}b%c%{"),
    ("\udcff", b"%{DCFF}"),
    ("226 Done.\r\n226 ", b"226 Done.%{D}%{A}226 "),
]


@pytest.mark.parametrize(("name", "sent"), ALIASES)
@pytest.mark.parametrize("charset", [None, "utf-8", *CHARSETS])
def test_aliases(name: str, sent: bytes, charset: str | None) -> None:
    names = Names("gb18030", charset)
    assert names.encode(name) == sent
    assert names.decode_argument(sent) == name


def test_bytes_that_are_no_text() -> None:
    assert Names("gb18030").encode("a\udce9") == b"a%{DCE9}"
    assert Names("gb18030", "gb18030").encode("a\udce9") == b"a%{DCE9}"
    utf8 = Names("gb18030", "utf-8")
    assert utf8.encode("é\udce9") == b"\xc3\xa9\xe9"
    assert utf8.decode_argument(b"\xc3\xa9\xe9") == "é\udce9"


def test_what_the_legacy_charset_lacks_is_spelled() -> None:
    names = Names("gb18030", "latin-1")
    assert names.encode("é文") == b"\xe9%{6587}"
    assert names.encode("aÿ") == b"a%{FF}"  # the byte FF means something to Telnet
    assert names.decode_argument(b"\xe9%{6587}%{FF}") == "é文ÿ"
    assert names.encode_lines(["é", "文"]) == b"\xe9\r\n%{6587}\r\n"


def test_many_lines() -> None:
    names = Names("gb18030")
    assert names.encode_lines([]) == b""
    assert names.encode_lines(["a", "文"]) == "a\r\n文\r\n".encode()
    assert names.encode_lines(["a\nb", "c"]) == b"a%{A}b\r\nc\r\n"
    assert names.encode_lines(["a\rb", "c"]) == b"a%{D}b\r\nc\r\n"
    assert names.encode_lines(["a\r\nb", "c"]) == b"a%{D}%{A}b\r\nc\r\n"
    assert names.encode_lines(["100%", "© …"]) == "100%\r\n© …\r\n".encode()
    assert names.encode_lines(["\x85", "©"]) == b"%{85}\r\n" + "©\r\n".encode()
    assert names.encode_lines(["\u2029", "…"]) == b"%{2029}\r\n" + "…\r\n".encode()


TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\r\n%{}A\x7f\x85\u2028\udcff©…")), max_size=8)


@given(st.lists(TEXTS, max_size=6), st.sampled_from([None, "utf-8", *CHARSETS]))
def test_many_lines_are_what_each_is_alone(lines: list[str], charset: str | None) -> None:
    names = Names("gb18030", charset)
    assert names.encode_lines(lines) == b"".join(names.encode(line) + b"\r\n" for line in lines)


@given(st.binary(max_size=40), st.sampled_from([None, "utf-8", *CHARSETS]), st.sampled_from(CHARSETS))
def test_every_name_on_disk_survives_the_round_trip(raw: bytes, charset: str | None, legacy: str) -> None:
    name = raw.decode("utf-8", "surrogateescape")
    names = Names(legacy, charset)
    sent = names.encode(name)
    assert not any(byte < 0x20 or byte in (0x7F, 0xFF) for byte in sent)
    assert names.encode_lines([name, name]) == (sent + b"\r\n") * 2
    assert names.decode_argument(sent) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.sampled_from([None, "utf-8", *CHARSETS]))
def test_every_text_survives_the_round_trip(name: str, charset: str | None) -> None:
    names = Names("gb18030", charset)
    assert names.decode_argument(names.encode(name)) == name


@pytest.mark.parametrize("charset", CHARSETS)
def test_the_whole_plane(charset: str) -> None:
    names = Names("gb18030", charset)
    wrong = [
        hex(code)
        for code in range(0x20, 0x30000)
        if not 0xD800 <= code < 0xE000 and names.decode_argument(names.encode(chr(code))) != chr(code)
    ]
    assert wrong == []
