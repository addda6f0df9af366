from __future__ import annotations

import random

import pytest

from homeport.protocols.ntp import (
    PACKET_BYTES,
    Clock,
    Measurement,
    NtpError,
    answer,
    from_wire,
    measure,
    question,
    slow_down,
    to_wire,
)

NS = 1_000_000_000
NOW = 1_798_949_106 * NS + 500_000_000  # 2027-01-03 04:05:06.5 UTC
ERA_END = 2_085_978_496 * NS  # 2036-02-07 06:28:16 UTC
GOOD = Clock(
    True, stratum=3, leap=0, precision=-22, dispersion_s=0.25, reference_id=b"\x7f\x7f\x01\x01", reference_ns=NOW
)
STAMP = 0x0123456789ABCDEF


@pytest.mark.parametrize(
    ("ns", "wire"),
    [
        (0, 2_208_988_800 << 32),
        (500_000_000, (2_208_988_800 << 32) + (1 << 31)),
        (ERA_END - 1, (1 << 64) - 5),
        (ERA_END, 0),
        (ERA_END + NS, 1 << 32),
        (2**31 * NS, ((2**31 + 2_208_988_800) % 2**32) << 32),  # 2038
        (2**32 * NS, 2_208_988_800 << 32),  # 2106
    ],
)
def test_times_on_the_wire(ns: int, wire: int) -> None:
    assert to_wire(ns) == wire
    for near in (ns, ns + 60 * 365 * 86400 * NS, ns - 60 * 365 * 86400 * NS):
        assert abs(from_wire(wire, near) - ns) <= 1


def test_an_answer_of_a_clock_that_is_right() -> None:
    request = bytes([0b00_100_011, 0, 6, 0xEC]) + bytes(36) + STAMP.to_bytes(8, "big")
    assert answer(request, GOOD, NOW, NOW + 1000) == bytes.fromhex(
        "24"  # no leap second, version 4, server
        "03 06 ea"  # stratum 3, the client's poll, precision 2^-22
        "00000000 00004000"  # root delay 0, root dispersion 0.25 s
        "7f7f0101"
        "eee44772 80000000"
        "01234567 89abcdef"
        "eee44772 80000000"
        "eee44772 800010c6"
    )


def test_a_clock_that_nobody_sets_says_so() -> None:
    made = answer(question(STAMP), Clock(False, stratum=3, leap=0), NOW, NOW)
    assert made is not None
    assert (made[0] >> 6, made[1], made[8:12]) == (3, 16, bytes.fromhex("00100000"))  # unknown, 16, 16 s
    assert made[16:24] == bytes(8)  # never set


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_the_client_is_answered_in_its_version(version: int) -> None:
    made = answer(bytes([version << 3 | 3]) + bytes(47), GOOD, NOW, NOW)
    assert made is not None
    assert (made[0] >> 3 & 7, made[0] & 7, len(made)) == (version, 4, PACKET_BYTES)


@pytest.mark.parametrize(
    "head",
    [
        bytes([version << 3 | mode])
        for version in range(8)
        for mode in range(8)
        if mode != 3 or version not in (1, 2, 3, 4)
    ],
)
def test_nothing_else_is_answered(head: bytes) -> None:
    """Control (6) and private (7) messages above all, and answers (4), which two servers would send for ever."""
    for size in (48, 68, 1472):
        request = head + bytes(size - 1)
        assert answer(request, GOOD, NOW, NOW) is None
        assert slow_down(request) is None


@pytest.mark.parametrize("size", range(48))
def test_a_question_that_was_cut_is_not_answered(size: int) -> None:
    assert answer(question(STAMP)[:size], GOOD, NOW, NOW) is None
    assert slow_down(question(STAMP)[:size]) is None


def test_u1_no_answer_is_longer_than_its_question() -> None:
    chance = random.Random(3)
    answered = 0
    for _ in range(20_000):
        request = chance.randbytes(chance.randrange(200))
        for made in (answer(request, GOOD, NOW, NOW), slow_down(request)):
            answered += made is not None
            assert len(made or b"") <= len(request)
    assert answered > 100


def test_extensions_that_are_not_known_are_left_out() -> None:
    made = answer(question(STAMP) + b"extension field, or a MAC", GOOD, NOW, NOW)
    assert made == answer(question(STAMP), GOOD, NOW, NOW)


def test_an_error_is_never_told_smaller_than_it_is() -> None:
    told = answer(question(STAMP), Clock(True, 3, 0, dispersion_s=1 / 65536 + 1e-9), NOW, NOW)
    assert told is not None
    assert told[8:12] == bytes([0, 0, 0, 2])
    told = answer(question(STAMP), Clock(True, 3, 0, dispersion_s=1e9), NOW, NOW)
    assert told is not None
    assert told[8:12] == b"\xff" * 4


@pytest.mark.parametrize(("ahead_ns", "way_ns"), [(0, 0), (3 * NS, 40_000_000), (-7200 * NS, 1_000_000)])
def test_offset_and_delay(ahead_ns: int, way_ns: int) -> None:
    received = NOW + way_ns + ahead_ns
    reply = answer(question(STAMP), GOOD, received, received + 5_000_000)
    assert reply is not None
    found = measure(reply, STAMP, NOW, NOW + 2 * way_ns + 5_000_000)
    assert found.offset_s == pytest.approx(ahead_ns / NS, abs=1e-8)
    assert found.delay_s == pytest.approx(2 * way_ns / NS, abs=1e-8)
    assert (found.stratum, found.synchronised, found.dispersion_s) == (3, True, 0.25)


def test_an_offset_across_the_end_of_the_era() -> None:
    received = ERA_END + NS
    reply = answer(question(STAMP), GOOD, received, received)
    assert reply is not None
    assert measure(reply, STAMP, ERA_END - NS, ERA_END - NS).offset_s == pytest.approx(2.0, abs=1e-8)


def test_a_clock_that_nobody_sets_is_measured_nevertheless() -> None:
    reply = answer(question(STAMP), Clock(False), NOW, NOW)
    assert reply is not None
    assert measure(reply, STAMP, NOW, NOW) == Measurement(
        offset_s=pytest.approx(0.0, abs=1e-8),  # type: ignore[arg-type]
        delay_s=0.0,
        stratum=16,
        synchronised=False,
        dispersion_s=16.0,
    )


def test_answers_that_tell_no_time() -> None:
    good = answer(question(STAMP), GOOD, NOW, NOW)
    rate = slow_down(question(STAMP))
    assert good is not None
    assert rate is not None
    deny = rate.replace(b"RATE", b"DE\x1b\0")
    for reply, stamp, why in (
        (good[:47], STAMP, "the answer is too short to be one"),
        (good, STAMP + 1, "the answer belongs to no question of ours"),
        (question(STAMP), STAMP, "the answer belongs to no question of ours"),
        (rate, STAMP, "the server asks to be asked less often"),
        (deny, STAMP, "the server says 'DE\\x1b'"),
    ):
        with pytest.raises(NtpError) as caught:
            measure(reply, stamp, NOW, NOW)
        assert str(caught.value) == why
