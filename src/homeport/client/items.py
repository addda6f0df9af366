"""What the engine is given to do: one item a file to move, or a folder to make, or a name to remove.

The one rule: an item says everything about itself, so that any connection can do it, at any time, again.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from homeport.client.remote import RemoteEntry


class Deed(enum.Enum):
    """What is done. Items of one run are done in no particular order, so nothing in a run may need another's deed."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    MAKE_FOLDER = "make folder"
    REMOVE_FILE = "remove file"
    REMOVE_FOLDER = "remove folder"
    COMPARE = "compare"
    LIST = "list"


class Side(enum.Enum):
    """Where a folder is made or a name removed."""

    LOCAL = "local"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Known:
    """What a listing has told of the server's name: `entry` is None when there is none."""

    entry: RemoteEntry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """`local` and `remote` (absolute) are the two ends; deeds on one side use that one alone.

    `name` is what a person calls it: the path below the folder that was named. `known` saves the question to the
    server when its folder was listed a moment ago. `side` matters to folders and removals only. `size` in bytes is
    for totals; None where it is not known.
    """

    deed: Deed
    name: str
    local: Path
    remote: str
    size: int | None = None
    known: Known | None = None
    side: Side = Side.REMOTE


@dataclass(frozen=True, slots=True)
class Phase:
    """Items that may be done at the same time, after those of the phase before. `only_if_clean`: not at all when
    something before has failed.
    """

    items: Iterable[Item]
    only_if_clean: bool = False


def upload(local: Path, remote: str, *, name: str = "", size: int | None = None, known: Known | None = None) -> Item:
    """Store the file `local` as `remote`."""
    return Item(deed=Deed.UPLOAD, name=name or local.name, local=local, remote=remote, size=size, known=known)


def download(remote: str, local: Path, *, name: str = "", known: Known | None = None) -> Item:
    """Fetch `remote` as the file `local`."""
    size = known.entry.size if known is not None and known.entry is not None else None
    label = name or remote.rpartition("/")[2]
    return Item(deed=Deed.DOWNLOAD, name=label, local=local, remote=remote, size=size, known=known)
