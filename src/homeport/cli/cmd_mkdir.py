"""`homeport mkdir`: folders on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import put_json

if TYPE_CHECKING:
    from homeport.client.remote import Remote


@click.command(name="mkdir")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option("--parents", "-p", is_flag=True, help="Make missing folders above as well; one that exists is no error.")
@options.connects
@options.as_json
def command(urls: tuple[str, ...], parents: bool, as_json: bool, how: options.How) -> None:
    """Make the folder at URL."""
    from homeport.cli.connecting import Connector

    connector = Connector(how)
    places = [connector.remote_of(url) for url in urls]
    for place in places:
        remote = connector.dial(place)
        try:
            (make_all if parents else make)(remote, place.path)
        finally:
            remote.close()
        if as_json:
            put_json({"event": "made", "path": place.path})
    if as_json:
        put_json({"event": "summary", "made": len(places)})


def make(remote: Remote, path: str) -> None:
    """One folder."""
    remote.make_directory(path.rstrip("/") or "/")


def make_all(remote: Remote, path: str) -> None:
    """A folder with all above it. Those that exist stay; RemoteExists when one of them is a file."""
    from homeport.cli.remote_globs import is_folder
    from homeport.client.errors import RemoteExists, RemoteNotFound, ServerRefused
    from homeport.client.walking import tree_remote

    knows_trees = tree_remote(remote)
    if knows_trees is not None:
        knows_trees.make_directories([path])
        return
    made = ""
    for segment in path.strip("/").split("/"):
        made += f"/{segment}"
        try:
            if not remote.stat(made).is_directory:
                raise RemoteExists(f"{made} is a file, so no folder can be made in its place")
            continue
        except RemoteNotFound:
            pass
        try:
            remote.make_directory(made)
        except ServerRefused as refusal:
            # Somebody else may have made it a moment ago.
            if not is_folder(remote, made):
                raise refusal from None
