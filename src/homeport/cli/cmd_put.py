"""`homeport put`: files and folders to a server."""

from __future__ import annotations

from pathlib import Path

import click

from homeport.cli import connection_options as options


@click.command(name="put")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("url")
@click.option("--recursive", "-r", is_flag=True, help="Folders with everything in them.")
@click.option("--tell", "room", metavar="ROOM", help="Announce it in the chat afterwards: in a room, or to @NAME.")
@options.transfers
@options.as_json
def command(
    files: tuple[Path, ...],
    url: str,
    recursive: bool,
    room: str | None,
    as_json: bool,
    how: options.How,
    moving: options.Moving,
) -> None:
    """Store each FILE at URL: in the folder, when it is one or ends with /, else under that name.

    Resume is the default: an interrupted upload goes on where it stopped, and one that is complete is success.
    """
    from homeport.cli import telling
    from homeport.cli.connecting import Connector

    connector = Connector(how)
    place = connector.remote_of(url)
    if room is not None:
        telling.check(place)
    connector.begin(place)

    from homeport.cli.progress_choice import drawing
    from homeport.cli.stopping import sigterm_raises
    from homeport.cli.transfer_items import local_sources, uploads
    from homeport.cli.transferring import transfer

    sources = local_sources(files, recursive=recursive)
    with sigterm_raises():
        transfer(
            connector,
            place,
            moving,
            drawing(moving, as_json=as_json),
            lambda engine: uploads(engine, sources, place.path),
        )
        if room is not None:
            telling.announce(connector, place, room, files)
