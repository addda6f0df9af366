"""What the words of a command line stand for: a place on a server, or one on this machine.

One rule: only what is written as a URL, or begins with the name of a profile that exists, is remote.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from homeport.client.errors import UsageError
from homeport.client.url import RemoteUrl, is_url, parse_url


def place_of(text: str) -> RemoteUrl | Path:
    """A URL, a profile's place, or a local path. Raises UsageError."""
    if is_url(text):
        return parse_url(text)
    return Path(text)


def remote_of(text: str) -> RemoteUrl:
    """A place on a server. Raises UsageError that shows how one is written."""
    place = place_of(text)
    if isinstance(place, Path):
        raise UsageError(f"{text!r} is no place on a server; write it as ftp://NAME@HOST/PATH, or PROFILE:/PATH")
    return place


def join(folder: str, name: str) -> str:
    """`name` in `folder`, both as the server knows them."""
    return posixpath.join(folder, name)


def resolve(folder: str, words: str) -> str:
    """Where `words` lead from `folder`: `..`, `.` and doubled slashes taken away, never above the root."""
    return "/" + posixpath.normpath(posixpath.join("/", folder, words)).lstrip("/")


def name_of(path: str) -> str:
    """The last segment, without a slash at the end; empty for the root."""
    return posixpath.basename(path.rstrip("/"))


def parent_of(path: str) -> str:
    """The folder that holds `path`."""
    return posixpath.dirname(path.rstrip("/")) or "/"
