from __future__ import annotations

import pytest

from homeport.client.retry import Backoff, RetryPolicy, Wait

POLICY = RetryPolicy(attempts=4, first_s=1.0, cap_s=3.0)


@pytest.mark.parametrize(("failures", "longest_s"), [(1, 1.0), (2, 2.0), (3, 3.0), (4, 3.0), (5000, 3.0)])
def test_the_wait_doubles_up_to_the_cap(failures: int, longest_s: float) -> None:
    assert POLICY.longest_wait_s(failures) == longest_s


def test_it_gives_up_after_the_last_attempt_without_progress() -> None:
    backoff = Backoff(POLICY, lambda: 1.0)
    assert backoff.failed(0) == Wait(1.0, 1)
    assert backoff.failed(1) == Wait(2.0, 2)
    assert backoff.failed(3) == Wait(3.0, 3)
    assert backoff.failed(6) is None


def test_connections_that_fail_together_count_once_and_wait_for_the_same_moment() -> None:
    backoff = Backoff(POLICY, lambda: 0.5)
    assert backoff.failed(10) == Wait(0.5, 1)
    assert backoff.failed(10.25) == Wait(0.25, 1)
    assert backoff.failed(10.5) == Wait(1.0, 2)


def test_progress_begins_the_count_anew() -> None:
    backoff = Backoff(POLICY, lambda: 1.0)
    for now in (0, 10, 20):
        assert backoff.failed(now) is not None
    backoff.progressed()
    assert backoff.failed(30) == Wait(1.0, 1)
