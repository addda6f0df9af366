"""The houses that the behaviours are run in: one for every factory that is listed in FACTORIES."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest

# A protocol joins the suite by `factory_<name>.py` and its name here.
FACTORIES = ("direct", "ftp", "sftp", "hptp")


@pytest.fixture(params=FACTORIES)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A server with no accounts; afterwards every account's ledger must equal a count of the disk."""
    factory = importlib.import_module(f"tests.contract.factory_{request.param}")
    with House.built(tmp_path) as house, factory.serve(house) as house.connector:
        yield house
        house.close_clients()
        house.prove_exact()


@pytest.fixture
def ann(house: House) -> HomeUnderTest:
    """A client of an account without limits."""
    house.account("ann")
    return house.connect("ann")


@pytest.fixture
def ann_again(house: House, ann: HomeUnderTest) -> HomeUnderTest:
    """A second session of the same account."""
    return house.connect("ann")


@pytest.fixture
def bob(house: House) -> HomeUnderTest:
    """A client of another account without limits."""
    house.account("bob")
    return house.connect("bob")
