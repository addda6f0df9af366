"""Reading a folder that is held open: entries one by one, in constant memory, however many there are.

The rule: names come as text that gives the bytes on disk back (PEP 383), whatever the process's locale, and a name that
vanishes between being read and being looked at was never there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from stat import S_ISLNK
from typing import Protocol, TypeVar

from homeport.core.entries import Entry, Look
from homeport.core.errors import HomeportError
from homeport.core.paths import name_text

Errors = AbstractContextManager[None] | None  # what makes another of an OSError, where there is to be one
Wanted = Callable[[str], object]  # whether a name is
Looks = AbstractContextManager[Iterator[Look | None]]  # a folder, open for as long as it is read; None: not wanted
Links = Callable[[str, os.stat_result], os.stat_result]  # what is to be said of a link, from its name and its own look
Found_co = TypeVar("Found_co", covariant=True)


class Reading(Protocol[Found_co]):
    """One way to read a folder: a function of this module."""

    def __call__(self, fd: int, /, *, errors: Errors) -> Generator[Found_co, None, None]: ...


def seen_through(look: Callable[[str], os.stat_result]) -> Links:
    """Links as what `look` finds behind their names.

    Where that is nothing, or nothing of the account's, they are links of size 0: it would tell how long a path is.
    """

    def links(name: str, link: os.stat_result) -> os.stat_result:
        try:
            return look(name)
        except HomeportError:
            return os.stat_result((*link[:6], 0, *link[7:]), {"st_mtime_ns": link.st_mtime_ns})

    return links


def looks_of(fd: int, errors: Errors = None, links: Links | None = None) -> Generator[Look, None, None]:
    """Names in the folder `fd` and what they stand for, in the disk's order: links as links, or as `links` has it.

    OSErrors of the reading go through `errors`, which may raise another in their place.
    """
    text = _text_of()
    with errors or nullcontext(), os.scandir(fd) as found:
        for item in found:
            try:
                looked = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            name = text(item.name) if text else item.name
            yield name, links(name, looked) if links and S_ISLNK(looked.st_mode) else looked


def entries_of(fd: int, errors: Errors = None, links: Links | None = None) -> Generator[Entry, None, None]:
    """As `looks_of`, each as an Entry."""
    entry_of = Entry.of
    with closing(looks_of(fd, errors, links)) as looks:
        for name, looked in looks:
            yield entry_of(name, looked)


def chosen_of(
    fd: int, wanted: Wanted, errors: Errors = None, links: Links | None = None
) -> Generator[Look | None, None, None]:
    """As `looks_of`, of the names that are `wanted`, which are looked at alone.

    Each other name comes as None, so that whoever looks for one of a million can pause anywhere.
    """
    text = _text_of()
    with errors or nullcontext(), os.scandir(fd) as found:
        for item in found:
            name = text(item.name) if text else item.name
            if not wanted(name):
                yield None
                continue
            try:
                looked = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield name, links(name, looked) if links and S_ISLNK(looked.st_mode) else looked


def names_of(fd: int, errors: Errors = None) -> Generator[str, None, None]:
    """The names in the folder `fd`, in the disk's order; `errors` as in `looks_of`."""
    text = _text_of()
    with errors or nullcontext(), os.scandir(fd) as found:
        for item in found:
            yield text(item.name) if text else item.name


def _text_of() -> Callable[[str], str] | None:
    # scandir of a descriptor gives text in the locale's encoding; nearly always that is ours already.
    if sys.getfilesystemencoding() == "utf-8":
        return None
    return lambda name: name_text(os.fsencode(name))
