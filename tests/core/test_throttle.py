from __future__ import annotations

import pytest

from homeport.core.throttle import TokenBucket


@pytest.mark.parametrize(
    ("rate", "burst", "moves", "delays"),
    [
        (None, None, [(0.0, 10**12)], [0.0]),
        (100, None, [(0.0, 100), (0.0, 50), (0.5, 100)], [0.0, 0.5, 1.0]),
        (100, 0, [(0.0, 50), (0.5, 50)], [0.5, 0.5]),
        (100, 1000, [(0.0, 1000), (0.0, 1), (100.0, 1000), (100.0, 100)], [0.0, 0.01, 0.0, 1.0]),
        (100, 100, [(5.0, 100), (4.0, 0)], [0.0, 1.0]),  # a clock that goes back gives nothing away
    ],
)
def test_delays(
    rate: float | None,
    burst: float | None,
    moves: list[tuple[float, float]],
    delays: list[float],
) -> None:
    bucket = TokenBucket(rate, burst)
    assert [bucket.delay(now, amount) for now, amount in moves] == pytest.approx(delays)


def test_who_obeys_moves_at_the_rate() -> None:
    bucket, now, moved = TokenBucket(1000, 100), 50.0, 0
    while now < 60.0:
        moved += 64
        now += bucket.delay(now, 64)
    assert moved <= 100 + 1000 * (now - 50.0)
    assert moved >= 1000 * (now - 50.0)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=f"^a rate must be above 0, not {rate}; None is no limit$"):
        TokenBucket(rate)
