from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.house import House

from homeport.core.bill import Bill, Reservation
from homeport.core.count import Count
from homeport.core.errors import QuotaExceeded
from homeport.core.quota import Ledger

LIMIT = 100


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=LIMIT, max_files=2)
        yield house


@pytest.fixture
def ledger(house: House) -> Ledger:
    return house.services.ledger


def used(house: House) -> Count:
    usage = house.usage("ann")
    return Count(usage.bytes, usage.files)


def test_what_has_no_room_is_borrowed_from_the_file_to_be_replaced(house: House, ledger: Ledger) -> None:
    ledger.charge(1, 90, 2)
    bill = Bill(ledger, 1, Count(90, 1))
    with ledger.changing(1):
        bill.charge(files=1)
        bill.charge(10)
        assert bill.borrowed == Count(0, 1)
        bill.charge(90)
        assert bill.borrowed == Count(90, 1)
        with pytest.raises(QuotaExceeded):
            bill.charge(1)
        assert bill.borrowed == Count(90, 1)
        assert used(house) == Count(100, 2)
        bill.replace(Count(90, 1))
    assert used(house) == Count(100, 2)
    assert bill.borrowed == Count()


def test_a_refund_pays_the_borrowed_first(house: House, ledger: Ledger) -> None:
    ledger.charge(1, 90, 2)
    bill = Bill(ledger, 1, Count(90, 1))
    with ledger.changing(1):
        bill.charge(50, 1)
        bill.refund(30)
        assert bill.borrowed == Count(10, 1)
        bill.refund(20, 1)
    assert bill.borrowed == Count()
    assert used(house) == Count(90, 2)


@pytest.mark.parametrize("replaced", [Count(90, 1), Count(40, 1), Count(39, 1), Count()])
def test_what_was_borrowed_is_covered_by_what_is_replaced_or_by_free_room(
    house: House, ledger: Ledger, replaced: Count
) -> None:
    ledger.charge(1, 90, 1)
    bill = Bill(ledger, 1, Count(90, 1))
    with ledger.changing(1):
        bill.charge(50, 1)
        if replaced.bytes < 40:
            with pytest.raises(QuotaExceeded):
                bill.cover(replaced)
            ledger.refund(1, 90 - replaced.bytes)
        bill.cover(replaced)
        assert bill.borrowed.bytes == min(40, replaced.bytes)
        bill.replace(replaced)
    left = 90 - replaced.bytes if replaced.bytes >= 40 else 0
    assert used(house) == Count(left + 50, 2 - replaced.files)


def test_nothing_borrowed_needs_no_cover(house: House, ledger: Ledger) -> None:
    bill = Bill(ledger, 1, Count(90, 1))
    with ledger.changing(1):
        bill.charge(10, 1)
        bill.cover(Count())
        bill.replace(Count())
    bill.release()
    assert used(house) == Count(10, 1)


def test_a_reservation_is_used_first_and_its_rest_is_given_back(house: House, ledger: Ledger) -> None:
    reservation = Reservation(ledger, 1, 60)
    assert used(house) == Count(60, 0)
    bill = Bill(ledger, 1, reservation=reservation)
    with ledger.changing(1):
        bill.charge(20)
        assert used(house) == Count(60, 0)
        bill.charge(50)
        assert used(house) == Count(70, 0)
        bill.refund(30)
    bill.release()
    bill.release()
    assert used(house) == Count(40, 0)
    reservation = Reservation(ledger, 1, 60)
    bill = Bill(ledger, 1, reservation=reservation)
    with ledger.changing(1):
        bill.charge(10)
    bill.release()
    reservation.release()
    assert used(house) == Count(50, 0)


def test_a_reservation_beyond_the_limit_is_refused(ledger: Ledger) -> None:
    with pytest.raises(QuotaExceeded) as caught:
        Reservation(ledger, 1, LIMIT + 1)
    assert str(caught.value) == "quota exceeded: 101 more bytes wanted, 100 of 100 free"
