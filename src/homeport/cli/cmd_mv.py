"""`homeport mv`: another name or folder, on the same server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import put_json

if TYPE_CHECKING:
    from homeport.client.remote import Remote
    from homeport.client.url import RemoteUrl


@click.command(name="mv")
@click.argument("url")
@click.argument("target", metavar="TARGET")
@options.connects
@options.as_json
def command(url: str, target: str, as_json: bool, how: options.How) -> None:
    """Give the file or folder at URL the name TARGET, a path or a URL of the same server.

    An existing folder as TARGET takes it in. Patterns move everything that fits into a folder.
    """
    from homeport.cli.connecting import Connector, connected

    connector = Connector(how)
    place = connector.remote_of(url)
    path = _target_path(place, target, connector.place_of(target))
    with connected(connector, place) as remote:
        moved = move(remote, place.path, path)
    if as_json:
        for source, arrived in moved:
            put_json({"event": "moved", "from": source, "to": arrived})
        put_json({"event": "summary", "moved": len(moved)})


def move(remote: Remote, source: str, target: str, *, literal: bool = False) -> list[tuple[str, str]]:
    """Move what `source` stands for; from where to where. Raises UsageError when many should get one name."""
    from homeport.cli.remote_globs import expand, is_folder, last_name
    from homeport.cli.remote_paths import join
    from homeport.client.errors import UsageError

    matches = expand(remote, source.rstrip("/") or "/", literal=literal)
    into = target.endswith("/") or is_folder(remote, target)
    if len(matches) > 1 and not into:
        raise UsageError(f"{len(matches)} names fit {source}, and {target} is no folder to take them")
    done = []
    for match in matches:
        arrived = join(target, last_name(match)) if into else target
        remote.move(match[0], arrived)
        done.append((match[0], arrived))
    return done


def _target_path(place: RemoteUrl, target: str, other: RemoteUrl | Path) -> str:
    from homeport.cli.remote_paths import parent_of, resolve
    from homeport.client.errors import UsageError

    if isinstance(other, Path):
        slash = "/" if target.endswith("/") else ""
        return resolve(parent_of(place.path), target).rstrip("/") + slash
    if (other.server, other.user) != (place.server, place.user):
        raise UsageError("mv works on one server and account; `homeport get` and `put` move files between two")
    return other.path
