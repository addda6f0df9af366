"""Reading a folder that is held open: entries one by one, in constant memory, however many there are.

The rule: names come as text that gives the bytes on disk back (PEP 383), whatever the process's locale, and a name that
vanishes between being read and being looked at was never there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext

from homeport.core.entries import Entry, Kind
from homeport.core.paths import name_text


def entries_of(
    fd: int, errors: AbstractContextManager[None] | None = None, links: Callable[[Entry], Entry] | None = None
) -> Generator[Entry, None, None]:
    """The entries of the folder `fd` in the disk's order, links as links, or as what `links` makes of each.

    OSErrors of the reading go through `errors`, which may raise another in their place.
    """
    text = _text_of()
    entry_of = Entry.of
    with errors or nullcontext(), os.scandir(fd) as found:
        for item in found:
            try:
                looked = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            entry = entry_of(text(item.name) if text else item.name, looked)
            yield links(entry) if links and entry.kind is Kind.LINK else entry


def chosen_of(
    fd: int, wanted: Callable[[str], object], errors: AbstractContextManager[None] | None = None
) -> Generator[Entry | None, None, None]:
    """As `entries_of`, of the names that are `wanted`, which are looked at alone.

    Each other name comes as None, so that whoever looks for one of a million can pause anywhere.
    """
    text = _text_of()
    with errors or nullcontext(), os.scandir(fd) as found:
        for item in found:
            name = text(item.name) if text else item.name
            try:
                yield Entry.of(name, item.stat(follow_symlinks=False)) if wanted(name) else None
            except FileNotFoundError:
                continue


def names_of(fd: int, errors: AbstractContextManager[None] | None = None) -> Generator[str, None, None]:
    """The names in the folder `fd`, in the disk's order; `errors` as in `entries_of`."""
    text = _text_of()
    with errors or nullcontext(), os.scandir(fd) as found:
        for item in found:
            yield text(item.name) if text else item.name


def _text_of() -> Callable[[str], str] | None:
    # scandir of a descriptor gives text in the locale's encoding; nearly always that is ours already.
    if sys.getfilesystemencoding() == "utf-8":
        return None
    return lambda name: name_text(os.fsencode(name))
