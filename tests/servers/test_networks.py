from __future__ import annotations

import pytest

from homeport.servers.networks import Networks


@pytest.mark.parametrize(
    ("allow", "deny", "host", "admitted"),
    [
        ((), (), "203.0.113.7", True),
        (("10.0.0.0/8",), (), "10.1.2.3", True),
        (("10.0.0.0/8",), (), "203.0.113.7", False),
        (("10.0.0.0/8",), (), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), ("10.1.0.0/16",), "10.1.2.3", False),
        ((), ("fe80::/10",), "fe80::1%eth0", False),
        ((), ("fe80::/10",), "2001:db8::1", True),
        (("10.0.0.0/8",), (), "unix", True),
    ],
)
def test_who_may_come_in(allow: tuple[str, ...], deny: tuple[str, ...], host: str, admitted: bool) -> None:
    networks = Networks(allow, deny)
    assert [networks.admits(host), networks.admits(host)] == [admitted] * 2
