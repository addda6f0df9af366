from __future__ import annotations

import itertools

from homeport.servers.request_rates import RequestRates, Verdict


def verdicts(rates: RequestRates, host: str, now: float, count: int) -> list[Verdict]:
    return [rates.take(host, now) for _ in range(count)]


def test_a_burst_passes_then_the_rate() -> None:
    rates = RequestRates(per_s=2, burst=3)
    assert verdicts(rates, "10.0.0.1", 0.0, 5) == [*[Verdict.ALLOWED] * 3, Verdict.FIRST_OVER, Verdict.OVER]
    assert verdicts(rates, "10.0.0.1", 0.5, 2) == [Verdict.ALLOWED, Verdict.FIRST_OVER]
    assert verdicts(rates, "10.0.0.1", 100.0, 4)[:3] == [Verdict.ALLOWED] * 3


def test_never_more_than_burst_and_rate_over_any_time() -> None:
    rates = RequestRates(per_s=10, burst=5)
    allowed = sum(rates.take("10.0.0.1", step / 1000) is Verdict.ALLOWED for step in range(10_000))
    assert 100 <= allowed <= 105


def test_a_slash_64_is_one_address_and_ipv4_addresses_are_many() -> None:
    rates = RequestRates(per_s=1, burst=1)
    assert rates.take("2001:db8::1", 0.0) is Verdict.ALLOWED
    assert rates.take("2001:db8::ffff:1", 0.0) is Verdict.FIRST_OVER
    assert rates.take("2001:db8:0:1::1", 0.0) is Verdict.ALLOWED
    assert rates.take("fe80::1%eth0", 0.0) is Verdict.ALLOWED
    assert rates.take("fe80::2%eth1", 0.0) is Verdict.FIRST_OVER
    assert rates.take("10.0.0.1", 0.0) is Verdict.ALLOWED
    assert rates.take("10.0.0.2", 0.0) is Verdict.ALLOWED
    assert rates.take("no address: at all", 0.0) is Verdict.ALLOWED


def test_the_table_is_bounded_and_strangers_share_what_is_left() -> None:
    rates = RequestRates(per_s=1, burst=2, max_addresses=100)
    for number in range(1000):
        rates.take(f"10.0.{number // 256}.{number % 256}", 0.0)
    assert len(rates) == 101
    assert rates.take("203.0.113.1", 0.0) is Verdict.OVER  # the shared place is over its rate
    assert rates.take("10.0.0.1", 0.0) is Verdict.ALLOWED  # who has a place keeps it


def test_places_are_given_back_when_they_are_idle() -> None:
    rates = RequestRates(per_s=1, burst=2, max_addresses=100)
    for number in range(200):
        rates.take(f"10.0.0.{number}", 0.0)
    verdicts(rates, "10.0.0.1", 0.0, 3)
    assert rates.take("203.0.113.1", 10.0) is Verdict.ALLOWED
    assert len(rates) == 1


def test_a_full_table_is_not_searched_for_every_datagram() -> None:
    rates = RequestRates(per_s=0.001, burst=1, max_addresses=10)
    clock = itertools.count()
    for number in range(10):
        rates.take(f"10.0.0.{number}", 0.0)
    for _ in range(1000):
        rates.take(f"10.1.{next(clock) % 256}.1", 0.0)
    assert len(rates) == 11
