from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest

from homeport.protocols import timetext
from homeport.protocols.timetext import DIRECTIVES, MAX_REQUEST_BYTES, MIN_ANSWER_BYTES, answer, render

SHANGHAI = timezone(timedelta(hours=8), "CST")
NOW = datetime(2027, 1, 3, 4, 5, 6, 789012, tzinfo=UTC)  # a Sunday


def zones(name: str) -> tzinfo | None:
    return SHANGHAI if name == "Asia/Shanghai" else None


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("", "2027-01-03 04:05:06"),
        ("%H:%M", "04:05"),
        ("@Asia/Shanghai %H:%M", "12:05"),
        ("@Asia/Shanghai", "2027-01-03 12:05:06"),
        ("%a %A %b %h %B", "Sun Sunday Jan Jan January"),
        ("%c|%x|%X", "Sun Jan  3 04:05:06 2027|01/03/27|04:05:06"),
        ("%D %F %R %T", "01/03/27 2027-01-03 04:05 04:05:06"),
        ("%I %p %r", "04 AM 04:05:06 AM"),
        ("%C %y %m %d %e %j", "20 27 01 03  3 003"),
        ("%G-%V %u %w %U %W", "2026-53 7 0 01 00"),
        ("%s %f %N", "1798949106 789012 789012000"),
        ("%z %Z", "+0000 UTC"),
        ("@Asia/Shanghai %z %Z", "+0800 CST"),
        ("%%%n%t.", "%\n\t."),
        ("现在 %H 点", "现在 04 点"),
        ("no directive", "no directive"),
    ],
)
def test_the_time_in_a_format(request_: str, expected: str) -> None:
    made = answer(request_.encode(), NOW, zones)
    assert made is not None
    assert made.decode() == expected


def test_midnight_and_noon_and_zones_west_of_greenwich() -> None:
    midnight = datetime(2027, 6, 1, 0, 0, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))
    assert render("%I %p %z", midnight) == "12 AM -0330"
    assert render("%I %p", midnight.replace(hour=12)) == "12 PM"
    assert render("%I %p", midnight.replace(hour=13)) == "01 PM"
    assert render("[%z%Z]", datetime(2027, 6, 1)) == "[]"


@pytest.mark.parametrize("directive", sorted(DIRECTIVES - set("NnthcxXpaAbBZs")))
def test_directives_mean_what_strftime_means(directive: str) -> None:
    chance = random.Random(directive)
    for _ in range(200):
        moment = datetime.fromtimestamp(chance.randrange(0, 2**32), ZoneInfo("Europe/Berlin"))
        assert render(f"%{directive}", moment) == moment.strftime(f"%{directive}"), moment


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (b"%Q", b"? no directive %Q"),
        (b"%-d", b"? no directive %-"),
        (b"%99999d", b"? no directive %9"),
        (b"%E", b"? no directive %E"),
        (b"%\x1b", b"? no directive %\\x1b"),
        (b"100%", b"? a % without a letter"),
        (b"\xff\xfe", b"? not UTF-8"),
        (b"@ %H", b"? no such time zone; write such as @Asia/Shanghai %H:%M"),
        (b"@../etc/passwd %H", b"? no such time zone; write such as @Asia/Shanghai %H:%M"),
        (b"@Nowhere/Land %H", b"? no such time zone; write such as @Asia/Shanghai %H:%M"),
        (b"@" + b"A" * 49 + b" %H", b"? no such time zone; write such as @Asia/Shanghai %H:%M"),
        (b"%c" * 4, b"? the answer would be longer than 64 bytes"),
        (b"%c" * 40, b"? the answer would be longer than 80 bytes"),
    ],
)
def test_what_cannot_be_answered_is_refused(request_: bytes, refusal: bytes) -> None:
    assert answer(request_, NOW, zones) == refusal


@pytest.mark.parametrize("request_", [b"? no directive %Q", b"%H" * 257, b"x" * (MAX_REQUEST_BYTES + 1)])
def test_what_gets_no_answer(request_: bytes) -> None:
    assert answer(request_, NOW, zones) is None


def test_u3_no_answer_is_longer_than_its_request_or_64_bytes() -> None:
    chance = random.Random(11)
    letters = [*(f"%{letter}" for letter in DIRECTIVES), "x" * 40, "\x00", "点"]
    longest = 0.0
    for _ in range(20_000):
        request = "".join(chance.choices(letters, k=chance.randrange(30))).encode()[: chance.randrange(600)]
        made = answer(request, NOW, zones) or b""
        assert len(made) <= max(len(request), MIN_ANSWER_BYTES)
        longest = max(longest, len(made))
    assert longest > MIN_ANSWER_BYTES


def test_every_refusal_fits() -> None:
    assert all(len(f"? no directive %{ascii(chr(code))[1:-1]}") <= MIN_ANSWER_BYTES for code in (0x7F, 0x10FFFF))
    assert timetext.MAX_REQUEST_BYTES < 1000
