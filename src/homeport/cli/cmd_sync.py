"""`homeport sync`: make one folder like another.

One rule: what is carried out is the plan that was shown, and nothing is removed without --delete and a yes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.client.sync import Direction
    from homeport.client.url import RemoteUrl


@click.command(name="sync")
@click.argument("source")
@click.argument("target")
@click.option("--delete", is_flag=True, help="Remove what the source has not, after showing it.")
@click.option("--max-delete", metavar="N", type=click.IntRange(min=0), help="Never remove more files than that.")
@click.option("--checksum", is_flag=True, help="Compare contents by digest, not times.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be done, and do nothing.")
@options.yes
@options.transfers
@options.as_json
def command(
    source: str,
    target: str,
    delete: bool,
    max_delete: int | None,
    checksum: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    how: options.How,
    moving: options.Moving,
) -> None:
    """Make the folder TARGET like the folder SOURCE; one of them is a URL.

    Files are the same when size and time are. An empty or unreadable source stops it, and so does a plan that removes
    more than --max-delete files, which is 50 or a tenth unless told otherwise.
    """
    from homeport.cli.connecting import Connector

    connector = Connector(how)
    ends = _ends(connector, source, target)
    connector.begin(ends[0])

    from homeport.cli.progress_choice import drawing
    from homeport.cli.stopping import sigterm_raises
    from homeport.cli.sync_run import SyncRun
    from homeport.client.sync import SyncOptions

    wishes = SyncOptions(delete=delete, max_delete=max_delete, checksum=checksum)
    drawn = drawing(moving, as_json=as_json)
    with sigterm_raises():
        SyncRun(connector, moving, drawn, as_json=as_json).go(ends, wishes, dry_run=dry_run, yes=yes)


def _ends(connector: Connector, source: str, target: str) -> tuple[RemoteUrl, Path, Direction]:
    """The server's folder, this machine's, and which way it goes. Raises UsageError."""
    from homeport.client.errors import UsageError
    from homeport.client.sync import Direction

    from_, to = connector.place_of(source), connector.place_of(target)
    if isinstance(from_, Path) and not isinstance(to, Path):
        return to, from_, Direction.UP
    if isinstance(to, Path) and not isinstance(from_, Path):
        return from_, to, Direction.DOWN
    many = "both are on this machine" if isinstance(from_, Path) else "both are on a server"
    raise UsageError(f"one of the two must be a URL and the other a folder of this machine; {many}")
