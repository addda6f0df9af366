"""Which command lines begin a connection before anything else is loaded."""

from __future__ import annotations

import click
import pytest

from homeport.cli import start
from homeport.cli.main import cli
from homeport.cli.start import server_of
from homeport.client.url import SCHEME_PORTS

BEGUN = [
    ("put a hp://alice@host/", ("host", 2120)),
    ("put -r folder hp://alice@files.example.org:2121/in/", ("files.example.org", 2121)),
    ("get hp://10.0.0.7/x@y:z .", ("10.0.0.7", 2120)),
    ("sync --delete here hp://a%40b@host:1", ("host", 1)),
    ("ls hp://host", ("host", 2120)),
    ("mv hp://one/a hp://two/b", ("one", 2120)),
]
NOT_BEGUN = [
    "",
    "put",
    "put --help hp://host/",
    "put -h hp://host/",
    "put a ftp://host/",
    "put a team:/in",
    "put a HP://host/",
    "trust hp://host/",
    "hp://host/",
    "ls hp://",
    "ls hp:///path",
    "ls hp://host:/",
    "ls hp://host:0/",
    "ls hp://host:65536/",
    "ls hp://host:\u0662/",
    "ls hp://host:21x/",
    "ls hp://Host/",
    "ls hp://h\u00f6st/",
    "ls hp://[::1]:2120/",
    "ls hp://host%41/",
    "ls hp://host;x/",
]


@pytest.mark.parametrize(("line", "server"), BEGUN)
def test_a_plain_place_has_a_head_start(line: str, server: tuple[str, int]) -> None:
    assert server_of(line.split()) == server


@pytest.mark.parametrize("line", NOT_BEGUN)
def test_anything_unusual_has_none(line: str) -> None:
    assert server_of(line.split()) is None


def test_what_is_said_twice_is_the_same() -> None:
    """To load the command line and its URLs first would take the head start away."""
    assert set(cli.list_commands(click.Context(cli))) >= start._GO_THERE
    assert SCHEME_PORTS["hp"] == start._PORT
