"""The table of codes covers the tree of errors, and no payload holds what cannot be said."""

from __future__ import annotations

import re

import pytest

from homeport.core import errors
from homeport.core.errors import HomeportError
from homeport.protocols.hptp.strict_json import encode
from homeport.servers.hptp.errors import CODES, Refused, code_of, error_object


def leaves(of: type[HomeportError] = HomeportError) -> list[type[HomeportError]]:
    below = [kind for kind in of.__subclasses__() if kind.__module__ == errors.__name__]
    return [leaf for kind in below for leaf in leaves(kind)] if below else [of]


@pytest.mark.parametrize("leaf", leaves(), ids=lambda leaf: leaf.__name__)
def test_every_leaf_has_the_code_of_its_name(leaf: type[HomeportError]) -> None:
    assert CODES[leaf] == re.sub(r"(?<!^)(?=[A-Z])", "-", leaf.__name__).lower()


def test_an_error_of_tomorrow_gets_a_code_too() -> None:
    class Novel(errors.Busy):
        pass

    class Unheard(HomeportError):
        pass

    assert code_of(Novel("/a")) == "busy"
    assert code_of(Unheard()) == "server-mistake"


def test_the_payload_has_the_errors_data() -> None:
    assert error_object(errors.QuotaExceeded("bytes", 10, 1, 5)) == {
        "code": "quota-exceeded",
        "message": "quota exceeded: 5 more bytes wanted, 1 of 10 free",
        "kind": "bytes",
        "limit": 10,
        "free": 1,
        "wanted": 5,
    }
    assert error_object(Refused("stalled", "too slow")) == {"code": "stalled", "message": "too slow"}


def test_what_a_peer_must_not_learn_stays_here() -> None:
    assert error_object(errors.LoginRefused("unknown name", 3.0)) == {
        "code": "login-refused",
        "message": "login incorrect",
    }


def test_names_of_any_bytes_can_be_said() -> None:
    said = error_object(errors.NotFound("/\udcff"))
    assert said == {"code": "not-found", "message": "/\ufffd: no such file or folder", "path": {"b": "L/8="}}
    encode(said)
