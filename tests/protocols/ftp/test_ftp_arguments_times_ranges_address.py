"""Arguments: what parses to what, and what is refused with which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.ftp.address import (
    DataAddress,
    format_epsv,
    format_pasv,
    parse_epsv,
    parse_pasv,
    plain_address,
    refusal,
)
from homeport.protocols.ftp.arguments import (
    PARSERS,
    DigestOf,
    ExtendedPassive,
    Facts,
    FileMode,
    Listing,
    Parsed,
    Parts,
    Shape,
    Times,
    names_in,
    parse,
)
from homeport.protocols.ftp.ranges import ByteRange
from homeport.protocols.ftp.replies import Refusal
from homeport.protocols.ftp.settings import Expectation
from homeport.protocols.ftp.times import Written, date_of, format_time, parse_time

NOON = 1_577_880_000_000_000_000  # 2020-01-01 12:00:00 UTC

ACCEPTED: list[tuple[Shape, str, Parsed]] = [
    (Shape.NONE, "", None),
    (Shape.NONE, "  ", None),
    (Shape.ANYTHING, " x ", " x "),
    (Shape.WORD, " tls ", "TLS"),
    (Shape.OPTIONAL_WORD, "", None),
    (Shape.OPTIONAL_WORD, "on", "ON"),
    (Shape.TEXT, " a b ", " a b "),
    (Shape.OPTIONAL_TEXT, "", None),
    (Shape.PATH, " leading", " leading"),
    (Shape.OPTIONAL_PATH, "", None),
    (Shape.OPTIONAL_PATH, "-a", "-a"),
    (Shape.LISTING, "", Listing("", None)),
    (Shape.LISTING, "-la", Listing("la", None)),
    (Shape.LISTING, "-a -l  some path ", Listing("al", "some path ")),
    (Shape.LISTING, "path -a", Listing("", "path -a")),
    (Shape.LISTING, "./-a", Listing("", "./-a")),
    (Shape.LISTING, "-- -a", Listing("", "-a")),
    (Shape.LISTING, "-", Listing("", "-")),
    (Shape.LISTING, "- x", Listing("", "- x")),
    (Shape.LISTING, "-my_file", Listing("", "-my_file")),
    (Shape.LISTING, "-1R /", Listing("1R", "/")),
    (Shape.OFFSET, "0", 0),
    (Shape.OFFSET, " 9223372036854775807 ", 2**63 - 1),
    (Shape.OPTIONAL_NUMBER, "", None),
    (Shape.OPTIONAL_NUMBER, "60", 60),
    (Shape.ALLOCATION, "5", 5),
    (Shape.ALLOCATION, "5 r 100", 5),
    (Shape.RANGE, "0 0", ByteRange(0, 0)),
    (Shape.RANGE, "5 9", ByteRange(5, 9)),
    (Shape.RANGE, "1 0", None),
    (Shape.HOST_PORT, "127,0,0,1,10,1", DataAddress(ip_address("127.0.0.1"), 2561)),
    (Shape.EXTENDED_PORT, "|1|127.0.0.1|2561|", DataAddress(ip_address("127.0.0.1"), 2561)),
    (Shape.EXTENDED_PORT, "!2!::1!65535!", DataAddress(ip_address("::1"), 65535)),
    (Shape.EXTENDED_PASSIVE, "", ExtendedPassive.ANY),
    (Shape.EXTENDED_PASSIVE, "2", ExtendedPassive.IPV6),
    (Shape.EXTENDED_PASSIVE, "all", ExtendedPassive.ALL),
    (Shape.TIME_AND_PATH, "20200101120000 a b", Times(NOON, "a b")),
    (Shape.UTIME, "202001011200 a b", Times(NOON, "a b")),
    (Shape.UTIME, "20200101120000 a b", Times(NOON, "a b")),
    (Shape.UTIME, "a b 20190101000000 20200101120000 20190101000000 UTC", Times(NOON, "a b")),
    (Shape.FACTS_AND_PATH, "Modify=20200101120000;unix.mode=0640; a b", Facts(NOON, 0o640, "a b")),
    (Shape.FACTS_AND_PATH, "UNIX.mode=755 a", Facts(None, 0o755, "a")),
    (Shape.MODE_AND_PATH, "0640 a b", FileMode(0o640, "a b")),
    (Shape.DIGEST, "a b", DigestOf("a b")),
    (Shape.DIGEST, '"a b"', DigestOf("a b")),
    (Shape.DIGEST, '"a ""b""" 5', DigestOf('a "b"', 5)),
    (Shape.DIGEST, '"a" 5 9', DigestOf("a", 5, 9)),
    (Shape.PARTS, "t a b", Parts("t", ("a", "b"))),
    (Shape.PARTS, '"t t"  "a b" c', Parts("t t", ("a b", "c"))),
    (Shape.EXPECTATION, "5 " + "Ab" * 32, Expectation(5, "ab" * 32)),
]


@pytest.mark.parametrize(("shape", "text", "value"), ACCEPTED)
def test_accepted(shape: Shape, text: str, value: Parsed) -> None:
    assert parse(PARSERS[shape], text, "X") == value


A_NUMBER = "a whole number from 0 to 9223372036854775807 is wanted"
TWO = "two arguments are wanted"
EPRT = "|family|address|port| is wanted"
REFUSED = [
    (Shape.NONE, "x", "no argument is taken"),
    (Shape.WORD, " ", "an argument is missing"),
    (Shape.TEXT, "", "an argument is missing"),
    (Shape.PATH, "", "an argument is missing"),
    *(
        (Shape.OFFSET, text, A_NUMBER)
        for text in ("", "-1", "+1", "1e3", "0x10", str(2**63), str(2**64), "²", "1" * 5000)
    ),
    (Shape.OPTIONAL_NUMBER, "x", A_NUMBER),
    (Shape.ALLOCATION, "", A_NUMBER),
    (Shape.ALLOCATION, "-1", A_NUMBER),
    (Shape.ALLOCATION, "5 R", "a size in bytes is wanted, and R with a record size may follow"),
    (Shape.ALLOCATION, "5 X 5", "a size in bytes is wanted, and R with a record size may follow"),
    (Shape.ALLOCATION, "5 R x", A_NUMBER),
    (Shape.RANGE, "5", "two numbers are wanted, the first and the last byte"),
    (Shape.RANGE, "5 4", "the first byte is behind the last"),
    *(
        (Shape.HOST_PORT, text, "six numbers are wanted: h1,h2,h3,h4,p1,p2")
        for text in ("", "1,2,3,4,5", "1,2,3,4,5,6,7", "-1,2,3,4,5,6", "1,2,3,4,5,٣", "9999,1,1,1,1,1")
    ),
    (Shape.HOST_PORT, "256,1,1,1,1,1", "a number is above 255"),
    (Shape.HOST_PORT, "1,1,1,1,0,0", "the port is no number from 1 to 65535"),
    *(
        (Shape.EXTENDED_PORT, text, EPRT)
        for text in ("", "||||", "11127.0.0.1151", "|1|127.0.0.1|80", "x|1|127.0.0.1|80|", "|" * 90, "é1é127.0.0.1é80é")
    ),
    (Shape.EXTENDED_PORT, "|1|127.0.0.1|99999|", "the port is no number from 1 to 65535"),
    (Shape.EXTENDED_PORT, "|1|127.0.0.1|-1|", "the port is no number from 1 to 65535"),
    (Shape.EXTENDED_PORT, "|1|127.0.0.1|" + "1" * 20 + "|", "the port is no number from 1 to 65535"),
    (Shape.EXTENDED_PORT, "|1|::1|80|", "no address of family 1"),
    (Shape.EXTENDED_PORT, "|2|127.0.0.1|80|", "no address of family 2"),
    (Shape.EXTENDED_PORT, "|1|localhost|80|", "no address of family 1"),
    (Shape.EXTENDED_PORT, "|2|::ffff:1.2.3.4|80|", "an address with a scope, or IPv4 inside IPv6, is not taken"),
    (Shape.EXTENDED_PORT, "|2|fe80::1%eth0|80|", "an address with a scope, or IPv4 inside IPv6, is not taken"),
    (Shape.TIME_AND_PATH, "20200101120000", TWO),
    (Shape.TIME_AND_PATH, "20200101120000 ", TWO),
    (Shape.TIME_AND_PATH, "now x", "a time is written YYYYMMDDHHMMSS, in UTC"),
    (Shape.UTIME, "x", "a time and a path are wanted"),
    (Shape.FACTS_AND_PATH, "Modify x", "facts are written name=value;"),
    (Shape.FACTS_AND_PATH, "UNIX.mode=1755; x", "a mode of three octal digits is wanted"),
    (Shape.MODE_AND_PATH, "888 x", "a mode of three octal digits is wanted"),
    (Shape.MODE_AND_PATH, "17777 x", "a mode of three octal digits is wanted"),
    (Shape.DIGEST, "", "an argument is missing"),
    (Shape.DIGEST, '"a', "a name in double quotes is not closed"),
    (Shape.DIGEST, '""', "a name in double quotes is not closed"),
    (Shape.DIGEST, '"a" 1 2 3', "a path, a start and an end are wanted"),
    (Shape.DIGEST, '"a" 5 4', "the end lies before the start"),
    (Shape.PARTS, "t", "a target and at least one part are wanted"),
    (Shape.PARTS, "", "a target and at least one part are wanted"),
    (Shape.PARTS, " t", "an argument is missing"),
    (Shape.EXPECTATION, "5 abc", "a SHA-256 is 64 hexadecimal digits"),
    (Shape.EXPECTATION, "-5 " + "ab" * 32, A_NUMBER),
]


@pytest.mark.parametrize(("shape", "text", "why"), REFUSED)
def test_refused(shape: Shape, text: str, why: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(PARSERS[shape], text, "THE SYNTAX")
    assert str(caught.value) == f"501 Syntax: THE SYNTAX ({why})."


@pytest.mark.parametrize(
    ("shape", "text", "reply"),
    [
        (Shape.EXTENDED_PORT, "|3|1.2.3.4|80|", "522 Network protocol not supported, use (1,2)"),
        (Shape.EXTENDED_PASSIVE, "x", "522 Network protocol not supported, use (1,2)"),
        (Shape.MODE_AND_PATH, "6777 x", "504 The setuid, setgid and sticky bits cannot be set."),
        (Shape.FACTS_AND_PATH, "size=5; x", "504 The fact size cannot be changed; Modify and UNIX.mode can."),
    ],
)
def test_refused_with_another_code(shape: Shape, text: str, reply: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(PARSERS[shape], text, "X")
    assert str(caught.value) == reply


@given(st.sampled_from(Shape), st.text(max_size=60))
def test_a_parser_refuses_and_never_raises_otherwise(shape: Shape, text: str) -> None:
    try:
        value = parse(PARSERS[shape], text, "X")
    except Refusal as refused:
        code = refused.reply.code
    else:
        code = 200
        assert isinstance(names_in(value), str)
    assert code in (200, 501, 504, 522)


def test_every_shape_has_a_parser() -> None:
    assert set(PARSERS) == set(Shape)


@pytest.mark.parametrize(
    ("argument", "names"), [("a", "a"), (None, ""), (Parts("t", ("a",)), "t"), (Listing("a", "b"), "")]
)
def test_names_in(argument: Parsed, names: str) -> None:
    assert names_in(argument) == names


# Times

TIMES = [
    ("19700101000000", 0),
    ("20200101120000", NOON),
    ("20381231235959", 2_177_452_799 * 10**9),
    ("19000101000000", -2_208_988_800 * 10**9),
    ("00010101000000", -62_135_596_800 * 10**9),
    ("99991231235959", 253_402_300_799 * 10**9),
]


@pytest.mark.parametrize(("text", "ns"), TIMES)
def test_times_both_ways(text: str, ns: int) -> None:
    assert parse_time(text) == ns
    assert format_time(ns) == text
    assert format_time(ns + 999_999_999) == text


def test_fractions_and_leap_seconds() -> None:
    assert parse_time("20200101120000.5") == NOON + 500_000_000
    assert parse_time("20200101120000.000000001") == NOON + 1
    assert parse_time("20161231235960") == parse_time("20170101000000")


@pytest.mark.parametrize(
    "text",
    ["", "2020", "202001011200", "20200101120061", "20200230000000", "20201301000000", "00000101000000",
     "20200101240000", "20200101120000.", "20200101120000.1234567890", "-2020010112000", "２0200101120000"],
)  # fmt: skip
def test_no_such_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"a time is written|no such time"):
        parse_time(text)


@pytest.mark.parametrize(("ns", "text"), [(-(10**30), "00010101000000"), (10**30, "99991231235959")])
def test_no_year_raises_on_the_way_out(ns: int, text: str) -> None:
    assert format_time(ns) == text


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_every_second_comes_back(second: int) -> None:
    assert parse_time(format_time(second * 10**9)) == second * 10**9


# Addresses


@pytest.mark.parametrize(
    ("text", "plain"),
    [("127.0.0.1", "127.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")],
)
def test_plain_address(text: str, plain: str) -> None:
    assert str(plain_address(text)) == plain


@pytest.mark.parametrize(
    ("host", "port", "peer", "why"),
    [
        ("10.0.0.1", 5000, "10.0.0.1", None),
        ("10.0.0.1", 5000, "::ffff:10.0.0.1", None),
        ("fe80::1", 5000, "fe80::1%eth0", None),
        ("10.0.0.2", 5000, "10.0.0.1",
         "data connections go only to the address that the control connection came from"),
        ("::1", 5000, "127.0.0.1", "data connections go only to the address that the control connection came from"),
        ("10.0.0.1", 1023, "10.0.0.1", "data connections do not go to ports below 1024"),
        ("10.0.0.1", 2121, "10.0.0.1", "data connections do not go to this server's own services"),
    ],
)  # fmt: skip
def test_where_data_may_go(host: str, port: int, peer: str, why: str | None) -> None:
    assert refusal(DataAddress(ip_address(host), port), peer, {2121}) == why


def test_passive_replies_both_ways() -> None:
    assert format_pasv("192.168.1.2", 2300) == "Entering Passive Mode (192,168,1,2,8,252)."
    assert parse_pasv(format_pasv("192.168.1.2", 2300)) == DataAddress(ip_address("192.168.1.2"), 2300)
    assert format_epsv(2300) == "Entering Extended Passive Mode (|||2300|)"
    assert parse_epsv(format_epsv(2300)) == 2300
    with pytest.raises(ValueError, match="no address in the reply"):
        parse_pasv("Entering Passive Mode")
    for text in ("Entering", "(|||70000|)", "(||!5|)"):
        with pytest.raises(ValueError, match=r"no port in the reply|the port is no number"):
            parse_epsv(text)


def test_what_is_remembered_of_days_is_bounded() -> None:
    days = Written(lambda day: date_of(day).year)
    for day in range(10_000):
        assert days[day] == (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).year
        assert len(days) <= 4096
    assert days[0] == 1970
