"""Which texts are whom."""

from __future__ import annotations

import re

import pytest

from homeport.core.login_subjects import Subject, ip_of, subject, subjects_of


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", "local"),
        ("/run/homeport.sock", "local"),
        ("192.0.2.7 ", "local"),
        ("192.0.2.999", "local"),
        ("\udcff\n" * 1000, "local"),
    ],
)
def test_an_address_counts_as_one_customer(address: str, place: str) -> None:
    assert subjects_of(address, None) == [Subject("address", place)]
    assert subjects_of(address, "Anna") == [
        Subject("address", place),
        Subject("name", "anna"),
        Subject("pair", f"anna {place}"),
    ]


@pytest.mark.parametrize("name", ["", "..", "a b", "\0", "\udcff", "x" * 100_000])
def test_an_impossible_name_is_nobodys(name: str) -> None:
    assert subjects_of("192.0.2.7", name) == [Subject("address", "192.0.2.7")]


def test_every_subject_fits_its_column() -> None:
    longest = subjects_of("2001:db8:1111:2222:3333:4444:5555:6666", "x" * 64)
    assert max(len(each.text) for each in longest) <= 128


def test_a_mapped_address_is_the_one_it_maps() -> None:
    assert str(ip_of("::ffff:10.0.0.1")) == "10.0.0.1"
    assert str(ip_of("2001:db8::1")) == "2001:db8::1"
    assert ip_of("") is None


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("address", "192.0.2.7", "192.0.2.7"),
        ("address", "2001:db8::7", "2001:db8::/64"),
        ("address", "2001:db8::/64", "2001:db8::/64"),
        ("address", "local", "local"),
        ("name", "ANNA", "anna"),
        ("pair", "Anna 2001:db8::7", "anna 2001:db8::/64"),
    ],
)
def test_what_an_administrator_names(kind: str, text: str, expected: str) -> None:
    assert subject(kind, text) == Subject(kind, expected)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("address", "anna", "'anna' is no IP address and no IPv6 network of /64"),
        ("address", "192.0.2.0/24", "'192.0.2.0/24' is no IP address and no IPv6 network of /64"),
        ("address", "2001:db8::/48", "'2001:db8::/48' is no IP address and no IPv6 network of /64"),
        ("name", "..", "a name begins with no dot and no dash"),
        ("pair", "anna", "'' is no IP address and no IPv6 network of /64"),
        ("pair", " 192.0.2.7", "a name has 1 to 64 characters"),
        ("host", "x", "a ban is about an address, a name or a pair of them, not about 'host'"),
    ],
)
def test_what_is_nobody(kind: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        subject(kind, text)
