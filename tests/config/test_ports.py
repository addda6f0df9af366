from __future__ import annotations

import re

import pytest

from homeport.config.ports import parse_ports


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("2300", (2300,)),
        ("2300-2302", (2300, 2301, 2302)),
        ("2300-2301,2310, 2305 - 2306", (2300, 2301, 2305, 2306, 2310)),
        ("5,5,4-6", (4, 5, 6)),
        ("any", ()),
        ("1-65535", tuple(range(1, 65536))),
    ],
)
def test_ports(text: str, ports: tuple[int, ...]) -> None:
    assert parse_ports(text) == ports


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is no port and no range"),
        ("2300-", "'2300-' runs backwards or ends nowhere"),
        ("-5", "'-5' is no port and no range"),
        ("2300,,2301", "'' is no port and no range"),
        ("2310-2300", "'2310-2300' runs backwards; write 2300-2310"),
        ("0-5", "'0-5' leaves the ports 1 to 65535"),
        ("65536", "'65536' leaves the ports 1 to 65535"),
        ("1-2-3", "'1-2-3' is no port and no range"),
        ("٣", "'٣' is no port and no range"),
    ],
)
def test_no_ports(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason.replace(" runs backwards or ends nowhere", " is no port"))):
        parse_ports(text)
