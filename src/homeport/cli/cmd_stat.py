"""`homeport stat`: all that a server tells of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable, put, put_json

if TYPE_CHECKING:
    from homeport.client.remote import RemoteEntry


@click.command(name="stat")
@click.argument("url")
@options.connects
@options.as_json
def command(url: str, as_json: bool, how: options.How) -> None:
    """Show kind, size, time and mode of what is at URL."""
    from homeport.cli.connecting import Connector, connected
    from homeport.cli.listing import as_object
    from homeport.cli.remote_paths import parent_of

    connector = Connector(how)
    place = connector.remote_of(url)
    with connected(connector, place) as remote:
        entry = remote.stat(place.path.rstrip("/") or "/")
    if as_json:
        put_json(as_object(parent_of(place.path), entry))
        put_json({"event": "summary", "entries": 1})
    else:
        show(place.path, entry)


def show(path: str, entry: RemoteEntry) -> None:
    """One fact a line."""
    from homeport.cli.listing import mode_text, time_text
    from homeport.client.speed import size_text

    facts = {
        "path": printable(path),
        "kind": entry.kind.value,
        "size": None if entry.size is None else f"{entry.size} bytes ({size_text(entry.size)})",
        "modified": None if entry.mtime is None else time_text(entry.mtime),
        "mode": None if entry.mode is None else f"{entry.mode & 0o7777:04o} {mode_text(entry)}",
    }
    for name, value in facts.items():
        put(f"{name + ':':10}{'not told by the server' if value is None else value}")
