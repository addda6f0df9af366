"""Speed and time left, on a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.client.speed import Speed, duration_text, size_text


def test_a_steady_flow_is_shown_from_the_first_tick() -> None:
    speed = Speed(100.0)
    for second in range(1, 30):
        speed.add(1000)
        speed.tick(100.0 + second)
        assert speed.current == pytest.approx(1000)
    assert speed.average(129.0) == pytest.approx(1000)
    assert speed.left_s(5000) == pytest.approx(5)
    assert speed.left_s(0) == 0


def test_a_stall_shows_within_the_window() -> None:
    speed = Speed(0.0)
    speed.add(10_000)
    speed.tick(1.0)
    speed.tick(11.0)
    assert speed.current < 0.4 * 10_000
    assert speed.average(11.0) == pytest.approx(10_000 / 11)


def test_nothing_is_said_before_anything_is_known() -> None:
    speed = Speed(5.0)
    speed.tick(5.0)
    assert speed.current == 0
    assert speed.average(5.0) == 0
    assert speed.left_s(1) is None


@given(st.lists(st.tuples(st.floats(0.001, 100), st.integers(0, 10**9)), min_size=1, max_size=30))
def test_the_average_stays_between_the_slowest_and_the_fastest(steps: list[tuple[float, int]]) -> None:
    speed, now, rates = Speed(0.0), 0.0, []
    for passed, amount in steps:
        before = now
        now += passed
        speed.add(amount)
        speed.tick(now)
        rates.append(amount / (now - before))
    assert min(rates) * 0.999 <= speed.current <= max(rates) * 1.001


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "--"),
        (0, "0s"),
        (0.2, "1s"),
        (59, "59s"),
        (60, "1m 00s"),
        (3599, "59m 59s"),
        (7800, "2h 10m"),
        (86_401, "> 1 day"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (1536, "1.50 KiB"),
        (24_536_678, "23.4 MiB"),
        (2**37, "128 GiB"),
        (2**60, "1024 PiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text
