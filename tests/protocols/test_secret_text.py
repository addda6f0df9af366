"""One rule for which texts are the same password, written twice: where it is stored, and where it is proved."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core import passwords
from homeport.protocols import secret_text


def outcome(prepare: Callable[[str], bytes], password: str) -> bytes | str:
    try:
        return prepare(password)
    except ValueError as refused:
        return str(refused)


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("pencil", b"pencil"),
        ("a\u00a0b\u3000c", b"a b c"),
        ("e\u0301", "é".encode()),
        ("\u2168", "\u2168".encode()),
        ("", "the password is empty"),
        ("a\tb", "the password has control characters or is no UTF-8"),
        ("a\udcff", "the password has control characters or is no UTF-8"),
        ("a" * 1025, "the password is longer than 1024 bytes"),
        ("é" * 513, "the password is longer than 1024 bytes"),
    ],
)
def test_passwords_are_prepared(password: str, expected: bytes | str) -> None:
    assert outcome(secret_text.prepared, password) == expected
    assert outcome(passwords.prepared, password) == expected


@given(st.text(alphabet=st.characters(), max_size=40) | st.text(alphabet="é\u0301 \u00a0", min_size=500, max_size=1100))
def test_both_rules_are_one(password: str) -> None:
    assert outcome(secret_text.prepared, password) == outcome(passwords.prepared, password)
