"""`homeport rm`: remove files and folders on a server. One rule: a folder with all in it goes only after a yes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable, put_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from homeport.client.remote import Remote

    Confirm = Callable[[str], bool]


@click.command(name="rm")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option("--recursive", "-r", is_flag=True, help="Folders with everything in them.")
@options.yes
@options.connects
@options.as_json
def command(urls: tuple[str, ...], recursive: bool, yes: bool, as_json: bool, how: options.How) -> None:
    """Remove the files at URL, which may be patterns."""
    from homeport.cli.connecting import Connector

    connector = Connector(how)
    places = [connector.remote_of(url) for url in urls]
    total = 0
    for place in places:
        remote = connector.dial(place)
        try:
            removed = remove(remote, place.path, recursive=recursive, confirm=(lambda _: True) if yes else on_terminal)
        finally:
            remote.close()
        total += removed
        if as_json:
            put_json({"event": "removed", "path": place.path, "names": removed})
    if as_json:
        put_json({"event": "summary", "removed": total})


def remove(remote: Remote, path: str, *, recursive: bool, confirm: Confirm, literal: bool = False) -> int:
    """Remove what `path` stands for; how many names that were. A folder needs `recursive` and a yes from `confirm`."""
    from homeport.cli.remote_globs import expand
    from homeport.client.errors import UsageError

    matches = expand(remote, path.rstrip("/") or "/", literal=literal)
    folders = [match for match, entry in matches if entry.is_directory and not entry.is_link]
    if folders and not recursive:
        raise UsageError(f"{folders[0]} is a folder; add -r to remove it with everything in it")
    if folders and not _may_remove(folders, confirm):
        return 0
    count = 0
    for match, entry in matches:
        if entry.is_directory and not entry.is_link:
            count += _remove_tree(remote, match)
        else:
            remote.remove_file(match)
            count += 1
    return count


def on_terminal(question: str) -> bool:
    """Ask the person. Raises SafetyRefused when nobody is there."""
    from homeport.cli.connecting import can_ask
    from homeport.client.errors import SafetyRefused

    if not can_ask():
        raise SafetyRefused("removing a folder with everything in it needs --yes where nobody can be asked")
    return click.confirm(question, default=False, err=True)


def _may_remove(folders: list[str], confirm: Confirm) -> bool:
    from homeport.client.errors import SafetyRefused

    if "/" in folders:
        raise SafetyRefused("the root folder itself is not removed; name what is in it, such as '/*'")
    names = ", ".join(map(printable, folders[:3])) + (", ..." if len(folders) > 3 else "")
    return confirm(f"Remove {names} and everything in it?")


def _remove_tree(remote: Remote, folder: str) -> int:
    """Everything below first; a link is removed, never followed."""
    from homeport.cli.listing import bounded
    from homeport.cli.remote_paths import join

    waiting, folders, count = [folder], [], 0
    while waiting:
        here = waiting.pop()
        folders.append(here)
        for entry in list(bounded(remote, here)):
            if entry.is_directory:
                waiting.append(join(here, entry.name))
            else:
                remote.remove_file(join(here, entry.name))
                count += 1
    for here in reversed(folders):  # each stands behind the folder that holds it
        remote.remove_directory(here)
    return count + len(folders)
