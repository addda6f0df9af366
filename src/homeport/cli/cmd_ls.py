"""`homeport ls`: what is in a folder on a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable, put, put_json

if TYPE_CHECKING:
    from homeport.cli.remote_globs import Found
    from homeport.client.remote import Remote, RemoteEntry

MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Style:
    """How to show entries; `exact` sizes are in bytes."""

    long: bool = False
    exact: bool = False
    as_json: bool = False
    recursive: bool = False


@click.command(name="ls")
@click.argument("url")
@click.option("--long", "-l", is_flag=True, help="A line an entry: mode, size, time, name.")
@click.option("--bytes", "-b", "exact", is_flag=True, help="Sizes in bytes; implies --long.")
@click.option("--recursive", "-R", is_flag=True, help="The folders below as well.")
@options.connects
@options.as_json
def command(url: str, long: bool, exact: bool, recursive: bool, as_json: bool, how: options.How) -> None:
    """List the folder, or the files that fit a pattern, at URL."""
    from homeport.cli.connecting import Connector, connected

    connector = Connector(how)
    place = connector.remote_of(url)
    style = Style(long or exact, exact, as_json, recursive)
    with connected(connector, place) as remote:
        count = show(remote, place.path, style)
    if as_json:
        put_json({"event": "summary", "entries": count})


def show(remote: Remote, path: str, style: Style, *, literal: bool = False) -> int:
    """List what is at `path`; how many entries that were. Raises RemoteNotFound."""
    from homeport.cli.remote_globs import expand
    from homeport.cli.remote_paths import parent_of

    matches = expand(remote, path, literal=literal)
    if len(matches) == 1 and matches[0][1].is_directory:
        return _tree(remote, matches[0][0], style, titled=style.recursive)
    files = [match for match in matches if not match[1].is_directory]
    count = sum(_put(parent_of(path), entries, style) for path, entries in _by_folder(files))
    for folder, entry in matches:
        if entry.is_directory:
            count += _tree(remote, folder, style, titled=True, is_first=count == 0)
    return count


def _by_folder(files: list[Found]) -> Iterator[tuple[str, list[RemoteEntry]]]:
    """Matches with the path of the first of each run that lies in one folder."""
    from itertools import groupby

    from homeport.cli.remote_paths import parent_of

    for _, run in groupby(files, key=lambda match: parent_of(match[0])):
        matches = list(run)
        yield matches[0][0], [entry for _, entry in matches]


def _tree(remote: Remote, folder: str, style: Style, *, titled: bool, is_first: bool = True) -> int:
    """A folder, and those below it when asked for; without recursion of the program's own."""
    from homeport.cli.listing import bounded, in_order
    from homeport.cli.remote_paths import join

    waiting, count = [folder], 0
    while waiting:
        here = waiting.pop()
        entries = in_order(bounded(remote, here))
        if titled and not style.as_json:
            put(("" if is_first else "\n") + printable(here) + ":")
            is_first = False
        count += _put(here, entries, style)
        if style.recursive and here.count("/") < MAX_DEPTH:
            waiting += [join(here, entry.name) for entry in reversed(entries) if entry.is_directory]
    return count


def _put(folder: str, entries: list[RemoteEntry], style: Style) -> int:
    from homeport.cli.listing import as_object, put_long, put_short

    if style.as_json:
        for entry in entries:
            put_json(as_object(folder, entry))
    elif style.long:
        put_long(entries, exact=style.exact)
    else:
        put_short(entries)
    return len(entries)
