"""`homeport get`: files and folders from a server."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.client.engine import Engine
    from homeport.client.items import Item
    from homeport.client.url import RemoteUrl


@click.command(name="get")
@click.argument("words", metavar="URL... [TARGET]", nargs=-1, required=True)
@click.option("--recursive", "-r", is_flag=True, help="Folders with everything in them.")
@options.transfers
@options.as_json
def command(words: tuple[str, ...], recursive: bool, as_json: bool, how: options.How, moving: options.Moving) -> None:
    """Fetch what is at each URL into TARGET: a folder, or a new name. Without TARGET it comes here.

    Patterns such as ftp://NAME@HOST/in/*.txt fetch all that fits. Resume is the default: an interrupted download goes
    on where it stopped, and one that is complete is success.
    """
    from homeport.cli.connecting import Connector

    connector = Connector(how)
    places, target = _ends(connector, words)
    connector.begin(places[0])

    from homeport.cli.progress_choice import drawing
    from homeport.cli.stopping import sigterm_raises
    from homeport.cli.transferring import transfer

    with sigterm_raises():
        transfer(
            connector,
            places[0],
            moving,
            drawing(moving, as_json=as_json),
            lambda engine: fetch(engine, [(place.path, False) for place in places], target, recursive=recursive),
        )


def fetch(engine: Engine, paths: list[tuple[str, bool]], target: Path, *, recursive: bool) -> Iterator[Item]:
    """The items that fetch `paths`, each with whether it is no pattern."""
    from homeport.cli.remote_globs import expand
    from homeport.cli.transfer_items import downloads

    found = []
    for path, literal in paths:
        found += engine.attempt(partial(expand, path=path.rstrip("/") or "/", literal=literal))
    yield from downloads(engine, found, target, recursive=recursive)


def _ends(connector: Connector, words: tuple[str, ...]) -> tuple[list[RemoteUrl], Path]:
    """The places to fetch, all on one server, and where to. Raises UsageError."""
    from homeport.client.errors import UsageError

    last = connector.place_of(words[-1])
    if isinstance(last, Path):
        target, sources = last, words[:-1]
        if words[-1] == "-":
            raise UsageError("to write to standard output, use `homeport cat`")
        if words[-1].endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
    else:
        target, sources = Path(), words
    if not sources:
        raise UsageError(f"{words[0]!r} is no place on a server; write it as ftp://NAME@HOST/PATH, or PROFILE:/PATH")
    places = [connector.remote_of(word) for word in sources]
    if len({(place.server, place.user) for place in places}) > 1:
        raise UsageError("one `get` fetches from one server and account")
    return places, target
