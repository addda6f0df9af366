"""Arithmetic on the paths of servers, which know `/` alone. Pure.

One rule: nothing leads above the root.
"""

from __future__ import annotations

import posixpath


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
