"""LIST in the dialects of real servers, and lines that are none."""

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.ftp.list_dialects import Listed, parse, parse_line

NOW = calendar.timegm((2026, 3, 1, 12, 0, 0))


def at(*moment: int) -> int:
    return calendar.timegm((*moment, *(0,) * (6 - len(moment))))


LINES: list[tuple[str, Listed]] = [
    # vsftpd, ProFTPD, Homeport
    (
        "-rw-r--r--    1 1000     1000         4096 Feb 27 09:15 small.bin",
        Listed("small.bin", "file", 4096, at(2026, 2, 27, 9, 15), 0o644),
    ),
    (
        "drwxr-xr-x   2 bench    bench        12288 Nov 20  2025 many",
        Listed("many", "directory", 12288, at(2025, 11, 20), 0o755),
    ),
    # the year turns: December is last year's
    ("-rw-------   1 u g 1 Dec 31 23:59 old year", Listed("old year", "file", 1, at(2025, 12, 31, 23, 59), 0o600)),
    # a clock a few hours ahead is this year's, not last year's
    ("-rw-------   1 u g 1 Mar  2 08:00 ahead", Listed("ahead", "file", 1, at(2026, 3, 2, 8, 0), 0o600)),
    ("-rw-r--r-- 1 u g 7 Feb 29 10:00 leap", Listed("leap", "file", 7, at(2024, 2, 29, 10, 0), 0o644)),
    # no group (some NetWare and embedded servers), names with spaces kept whole
    (
        "-rw-r--r--   1 owner        17 Jan  5 10:00  leading space",
        Listed(" leading space", "file", 17, at(2026, 1, 5, 10, 0), 0o644),
    ),
    # links, with and without a target
    (
        "lrwxrwxrwx 1 u g 6 Jan  5 10:00 link -> target",
        Listed("link", "link", 6, at(2026, 1, 5, 10, 0), 0o777, "target"),
    ),
    ("lrwxrwxrwx 1 u g 6 Jan  5 10:00 bare", Listed("bare", "link", 6, at(2026, 1, 5, 10, 0), 0o777)),
    # devices have numbers instead of a size; a set-id letter is an execute bit at most
    ("crw-rw-rw- 1 root root 1, 5 Jan  5 10:00 zero", Listed("zero", "other", None, at(2026, 1, 5, 10, 0), 0o666)),
    ("-rwsr-Sr-t 1 root root 9 Jan  5 10:00 suid", Listed("suid", "file", 9, at(2026, 1, 5, 10, 0), 0o745)),
    # access lists and attributes mark the mode
    ("-rw-r--r--+ 1 u g 9 Jan  5 10:00 acl", Listed("acl", "file", 9, at(2026, 1, 5, 10, 0), 0o644)),
    ("-rw-r--r--@ 1 u staff 9 Jan  5 10:00 mac", Listed("mac", "file", 9, at(2026, 1, 5, 10, 0), 0o644)),
    # a long ISO date
    ("-rw-r--r-- 1 u g 9 2026-01-05 10:00 iso", Listed("iso", "file", 9, at(2026, 1, 5, 10, 0), 0o644)),
    ("-rw-r--r-- 1 u g 9 2026-01-05 10:00:59 iso s", Listed("iso s", "file", 9, at(2026, 1, 5, 10, 0), 0o644)),
    # Chinese names, and bytes that were no UTF-8
    ("-rw-r--r-- 1 u g 9 Jan  5 10:00 报告 2026.txt", Listed("报告 2026.txt", "file", 9, at(2026, 1, 5, 10, 0), 0o644)),
    ("-rw-r--r-- 1 u g 9 Jan  5 10:00 \udcb1\udca8", Listed("\udcb1\udca8", "file", 9, at(2026, 1, 5, 10, 0), 0o644)),
    # Windows
    ("02-27-26  09:15AM                 4096 small.bin", Listed("small.bin", "file", 4096, at(2026, 2, 27, 9, 15))),
    (
        "02-27-2026  12:15AM       <DIR>          My Folder",
        Listed("My Folder", "directory", None, at(2026, 2, 27, 0, 15)),
    ),
    ("12-31-99  12:15PM            1,234,567 old", Listed("old", "file", 1234567, at(1999, 12, 31, 12, 15))),
    ("02-27-26  21:15                 4096 day", Listed("day", "file", 4096, at(2026, 2, 27, 21, 15))),
    # EPLF
    ("+i8388621.48594,m825718503,r,s280,\tdjb.html", Listed("djb.html", "file", 280, 825718503)),
    ("+/,\t514", Listed("514", "directory", None, None)),
    ("+i1,\tneither", Listed("neither", "other", None, None)),
]


@pytest.mark.parametrize(("line", "listed"), LINES, ids=[listed.name.strip() for _, listed in LINES])
def test_a_line_of_a_real_server(line: str, listed: Listed) -> None:
    assert parse_line(line, NOW) == listed


@pytest.mark.parametrize(
    "line",
    [
        "",
        "total 12",
        "226 Transfer complete",
        "-rw-r--r-- 1 u g 9 Foo  5 10:00 no such month",
        "-rw-r--r-- 1 u g 9 Feb 30  2026 no such day",
        "-rw-r--r-- 1 u g 9 Jan  5 25:00 no such hour",
        "-rw-r--r-- 1 u g 9 2026-13-05 10:00 no such month",
        "02-30-26  09:15AM 1 no such day",
        "+mNaN,\tx",
        "-rw-r--r-- 1 u g 9 Jan  5 10:00 ",
    ],
)
def test_a_line_that_is_no_entry(line: str) -> None:
    assert parse_line(line, NOW) is None


def test_a_leap_day_without_a_leap_year_near_is_no_entry() -> None:
    near_1900 = calendar.timegm((2103, 6, 1, 0, 0, 0))  # 2100 is no leap year; 2096 is too far back
    assert parse_line("-rw-r--r-- 1 u g 7 Feb 29 10:00 leap", near_1900) is None


@pytest.mark.parametrize("now", [0, 1, at(2000, 1, 1), at(1999, 12, 31, 23, 59, 59), at(2400, 12, 31)])
def test_the_year_of_now_is_found_at_its_edges(now: int) -> None:
    listed = parse_line("-rw-r--r-- 1 u g 9 Jan  1 00:00 x", now)
    assert listed is not None
    assert listed.mtime is not None
    assert -366 * 86_400 < listed.mtime - now <= 86_400


def test_a_listing_leaves_out_the_folder_itself_and_lines_that_are_none() -> None:
    lines = [
        "total 3\r\n",
        "drwxr-xr-x 2 u g 1 Jan  5 10:00 .\r\n",
        "drwxr-xr-x 2 u g 1 Jan  5 10:00 ..\r\n",
        LINES[0][0] + "\r\n",
    ]
    assert list(parse(lines, NOW)) == [LINES[0][1]]


@given(st.text(), st.floats(min_value=0, max_value=4e9))
def test_no_line_of_a_hostile_server_raises(line: str, now: float) -> None:
    parse_line(line, now)
