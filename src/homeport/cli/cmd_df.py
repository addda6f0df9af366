"""`homeport df`: the room that an account has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import put, put_json

if TYPE_CHECKING:
    from homeport.client.remote import Space


@click.command(name="df")
@click.argument("url")
@options.connects
@options.as_json
def command(url: str, as_json: bool, how: options.How) -> None:
    """Show how much is used and how much may still be stored."""
    from homeport.cli.connecting import Connector, connected

    connector = Connector(how)
    place = connector.remote_of(url)
    with connected(connector, place) as remote:
        space = remote.space()
    if as_json:
        facts = {name: getattr(space, name) for name in ("free_bytes", "used_bytes", "quota_bytes")}
        put_json({"event": "summary", **facts})
    else:
        show(space)


def show(space: Space) -> None:
    """One figure a line; what the server does not tell is left out."""
    from homeport.client.speed import size_text

    figures = {"free": space.free_bytes, "used": space.used_bytes, "quota": space.quota_bytes}
    told = {name: amount for name, amount in figures.items() if amount is not None}
    for name, amount in told.items():
        put(f"{name + ':':7}{size_text(amount):>9}  ({amount} bytes)")
    if not told:
        put("the server tells no limit")
