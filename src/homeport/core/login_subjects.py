"""Whom failures and bans are about: an address, a name, or one name from one address.

The one rule: whatever text a peer sends, its subjects are short, printable and few.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from sqlalchemy import ColumnElement, Table, and_, false, or_

from homeport.core.account_names import name_key

LOCAL = "local"  # a Unix socket's peers, and whatever else has no IP address
_IPV6_PREFIX = 64  # what one customer gets: single addresses in it cost nothing


class Subject(NamedTuple):
    """`kind` is `address`, `name`, or `pair`, whose text is name, space, address."""

    kind: str
    text: str


def ip_of(address: str) -> IPv4Address | IPv6Address | None:
    """The IP address in a socket's text: without a scope, IPv4 when it is only mapped into IPv6; None for others."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(ip, IPv6Address) and ip.ipv4_mapped) or ip


def subjects_of(address: str, name: str | None) -> list[Subject]:
    """What a login from `address` as `name` counts for, always in this order: address, name, pair.

    A name that no account can have is nobody's, so only the address counts.
    """
    place = _place(address)
    key = _key(name) if name is not None else None
    if key is None:
        return [Subject("address", place)]
    return [Subject("address", place), Subject("name", key), Subject("pair", f"{key} {place}")]


def subject(kind: str, text: str) -> Subject:
    """The subject that an administrator names; raises ValueError when it is none."""
    if kind == "address":
        return Subject(kind, _place_named(text))
    if kind == "name":
        return Subject(kind, name_key(text))
    if kind == "pair":
        name, _, address = text.partition(" ")
        return Subject(kind, f"{name_key(name)} {_place_named(address)}")
    raise ValueError(f"a ban is about an address, a name or a pair of them, not about {kind!r}")


def all_about(text: str) -> Callable[[Table], ColumnElement[bool]]:
    """The condition that finds the rows about an address, a name, or a pair; pairs are found by either half."""
    place, key, pair = _or_none(_place_named, text), _key(text), _or_none(_pair_named, text)

    def condition(table: Table) -> ColumnElement[bool]:
        kind, about = table.c.kind, table.c.subject
        found: list[ColumnElement[bool]] = [false()]
        if place is not None:
            found.append(and_(kind == "address", about == place))
            found.append(and_(kind == "pair", about.endswith(f" {place}", autoescape=True)))
        if key is not None:
            found.append(and_(kind == "name", about == key))
            found.append(and_(kind == "pair", about.startswith(f"{key} ", autoescape=True)))
        if pair is not None:
            found.append(and_(kind == "pair", about == pair))
        return or_(*found)

    return condition


def _place(address: str) -> str:
    ip = ip_of(address)
    if ip is None:
        return LOCAL
    return str(ip) if ip.version == 4 else str(ip_network((int(ip), _IPV6_PREFIX), strict=False))


def _place_named(text: str) -> str:
    if text == LOCAL or ip_of(text) is not None:
        return _place(text)
    try:
        network = ip_network(text)
    except ValueError:
        network = None
    if isinstance(network, IPv6Network) and network.prefixlen == _IPV6_PREFIX:
        return str(network)
    raise ValueError(f"{text!r} is no IP address and no IPv6 network of /{_IPV6_PREFIX}")


def _pair_named(text: str) -> str:
    return subject("pair", text).text


def _key(name: str) -> str | None:
    return _or_none(name_key, name)


def _or_none(read: Callable[[str], str], text: str) -> str | None:
    try:
        return read(text)
    except ValueError:
        return None
