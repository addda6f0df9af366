"""A connection that is made ahead comes, or its failure does, where it is wanted."""

from __future__ import annotations

from typing import cast

import pytest

from homeport.cli.ahead import Ahead
from homeport.client.errors import LoginFailed
from homeport.client.remote import Remote


def test_the_connection_comes_where_it_is_wanted() -> None:
    made = cast(Remote, object())
    assert Ahead(lambda: made).take() is made


def test_so_does_the_failure() -> None:
    def fail() -> Remote:
        raise LoginFailed("wrong name or password")

    ahead = Ahead(fail)
    with pytest.raises(LoginFailed, match="wrong name or password"):
        ahead.take()
