from __future__ import annotations

from homeport.servers.rates import AccountRates, SharedRate


def test_a_rate_is_shared() -> None:
    rate = SharedRate(100)
    assert rate.delay(0.0, 100) == 0
    assert rate.delay(0.0, 100) == 1


def test_an_account_has_one_bucket_each_way_until_its_limit_changes() -> None:
    rates = AccountRates()
    up = rates.bucket(1, 100, upload=True)
    assert rates.bucket(1, 100, upload=True) is up
    assert rates.bucket(1, 100, upload=False) is not up
    assert rates.bucket(2, 100, upload=True) is not up
    assert rates.bucket(1, 200, upload=True) is not up
