"""Names with `*`, `?` and `[...]` on a server.

One rule: a name that exists as it is written is that name, no pattern.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from homeport.cli.listing import bounded, in_order
from homeport.cli.remote_paths import join, name_of
from homeport.client.errors import RemoteNotFound
from homeport.client.remote import Kind, RemoteEntry

if TYPE_CHECKING:
    from homeport.client.remote import Remote

_MAGIC = re.compile(r"[*?\[]")
MAX_MATCHES = 100_000

Found = tuple[str, RemoteEntry]


def has_magic(path: str) -> bool:
    """Whether `path` could be a pattern."""
    return _MAGIC.search(path) is not None


def expand(remote: Remote, path: str, *, literal: bool = False) -> list[Found]:
    """What `path` stands for, in order; a `literal` one is no pattern. Raises RemoteNotFound when it is nothing."""
    try:
        return [(path, remote.stat(path))]
    except RemoteNotFound:
        if literal or not has_magic(path):
            raise
    found: list[Found] = [("/", RemoteEntry("", Kind.DIRECTORY))]
    for pattern in path.strip("/").split("/"):
        found = [
            match for folder, entry in found if entry.kind is not Kind.FILE for match in _step(remote, folder, pattern)
        ]
        if len(found) > MAX_MATCHES:
            raise RemoteNotFound(f"{path} fits more than {MAX_MATCHES} names; ask for less at once")
    if not found:
        raise RemoteNotFound(f"nothing on the server fits {path}")
    return found


def _step(remote: Remote, folder: str, pattern: str) -> Iterator[Found]:
    if not has_magic(pattern):
        path = join(folder, pattern)
        try:
            entry = remote.stat(path)
        except RemoteNotFound:
            return
        yield path, entry
        return
    fits = re.compile(fnmatch.translate(pattern))
    shows_hidden = pattern.startswith(".")
    for entry in in_order(bounded(remote, folder)):
        if fits.match(entry.name) and (shows_hidden or not entry.name.startswith(".")):
            yield join(folder, entry.name), entry


def is_folder(remote: Remote, path: str) -> bool:
    """Whether there is a folder of that name."""
    try:
        return remote.stat(path).is_directory
    except RemoteNotFound:
        return False


def last_name(found: Found) -> str:
    """The name under which a match arrives elsewhere."""
    path, entry = found
    return entry.name or name_of(path)
