"""Servers that tell a whole tree in one answer, and make many folders at once.

The one rule: what can be had in one round trip is asked for in one; whoever cannot is asked folder by folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from homeport.client.remote import Remote, RemoteEntry


@dataclass(frozen=True, slots=True)
class Walked:
    """One name below the root; without an `entry` it is a folder that could not be read, and `reason` says why."""

    segments: tuple[str, ...]
    entry: RemoteEntry | None
    reason: str = ""


class TreeRemote(Remote, Protocol):
    """A Remote that knows trees."""

    def walk(self, path: str) -> Iterator[Walked]:
        """Everything below `path`, a folder before what is in it. Nothing in it is to be believed."""
        ...

    def make_directories(self, paths: Sequence[str]) -> None:
        """Make each with all above it, where they are not there yet."""
        ...

    def make_and_walk(self, path: str) -> list[Walked]:
        """Both for one path, at once."""
        ...


def tree_remote(remote: Remote) -> TreeRemote | None:
    """The same remote where it knows trees."""
    return cast(TreeRemote, remote) if hasattr(remote, "make_and_walk") else None
