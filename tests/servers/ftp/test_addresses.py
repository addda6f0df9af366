from __future__ import annotations

import ipaddress

import pytest

from homeport.servers.ftp.addresses import family_of, parse_ip, peer_ip


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_every_address_has_one_form(text: str, address: str) -> None:
    assert parse_ip(text) == ipaddress.ip_address(address)


@pytest.mark.parametrize("found", ["", b"", (), None, ("nonsense", 1)])
def test_a_unix_peer_has_no_address(found: object) -> None:
    assert peer_ip(found) is None


def test_a_socket_name_gives_its_address() -> None:
    address = peer_ip(("::1", 4711, 0, 0))
    assert address == ipaddress.ip_address("::1")
    assert address is not None
    assert family_of(address).name == "AF_INET6"
    assert family_of(ipaddress.ip_address("127.0.0.1")).name == "AF_INET"
