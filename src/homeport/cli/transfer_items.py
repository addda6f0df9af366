"""From what a person names to what the engine does: files and folders, into a folder or to a name, as `cp` does it.

One rule: items come as a stream while the folders are being read, each after the folder that it needs was made; what
is neither file nor folder is left out and said.
"""

from __future__ import annotations

import functools
import os
import stat as stat_bits
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from homeport.cli.cmd_mkdir import make_all
from homeport.cli.listing import bounded
from homeport.cli.remote_globs import Found, is_folder, last_name
from homeport.cli.remote_paths import join
from homeport.client.errors import LocalFailed, SafetyRefused, UsageError
from homeport.client.events import Notice, Scanned
from homeport.client.items import Item, Known, download, upload
from homeport.client.local_names import safe_child, safe_descendant
from homeport.client.partial import is_part_name
from homeport.client.remote import Kind, RemoteEntry

if TYPE_CHECKING:
    from homeport.client.engine import Engine
    from homeport.client.remote import Remote

MAX_DEPTH = 200
_SAY_EVERY = 500


class Counter:
    """Counts items on their way to the engine, and says so."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._files = self._bytes = 0

    def through(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, counted."""
        for item in items:
            self._files += 1
            self._bytes += item.size or 0
            if self._files % _SAY_EVERY == 0:
                self._say(finished=False)
            yield item
        self._say(finished=True)

    def _say(self, *, finished: bool) -> None:
        self._engine.notify(Scanned(self._files, self._bytes, finished))


# --- to the server ---


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder of this machine, looked at."""

    path: Path
    facts: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat_bits.S_ISDIR(self.facts.st_mode)

    @property
    def name(self) -> str:
        """Its own name, even where it was named as `.`."""
        return self.path.name or self.path.resolve().name


def local_sources(paths: Sequence[Path], *, recursive: bool) -> list[Source]:
    """What is to be stored. Raises UsageError, LocalFailed before anything is sent."""
    sources = []
    for path in paths:
        try:
            source = Source(path, path.stat())
        except OSError as failure:
            raise LocalFailed(f"{path} cannot be read: {failure.strerror}") from failure
        if source.is_folder and not recursive:
            raise UsageError(f"{path} is a folder; add -r to store it with everything in it")
        if not source.is_folder and not stat_bits.S_ISREG(source.facts.st_mode):
            raise UsageError(f"{path} is neither a file nor a folder")
        sources.append(source)
    return sources


def uploads(engine: Engine, sources: Sequence[Source], target: str) -> Iterator[Item]:
    """The items that store `sources` as `target`, or in it when it is a folder or ends with a slash."""
    into = target.endswith("/") or engine.attempt(lambda remote: is_folder(remote, target))
    if len(sources) > 1 and not into:
        raise UsageError(f"{target} is no folder on the server; end it with / to have it made")
    if into:
        engine.attempt(lambda remote: make_all(remote, target))
    for source in sources:
        place = join(target, source.name) if into else target
        if source.is_folder:
            yield from _upload_tree(engine, source, place)
        else:
            yield upload(source.path, place, name=source.name, size=source.facts.st_size)


def _upload_tree(engine: Engine, source: Source, target: str) -> Iterator[Item]:
    waiting = [(source.path, target, source.name)]
    while waiting:
        folder, place, label = waiting.pop()
        there = engine.attempt(functools.partial(_make_or_list, folder=place))
        for entry in _local_entries(engine, folder):
            kind = _kind_of(entry)
            path, name = Path(entry.path), f"{label}/{entry.name}"
            if kind is Kind.DIRECTORY:
                waiting.append((path, join(place, entry.name), name))
            elif kind is Kind.FILE:
                known = Known(there.get(entry.name))
                yield upload(path, join(place, entry.name), name=name, size=entry.stat().st_size, known=known)
            else:
                engine.notify(Notice(f"{path} is neither a file nor a folder, and was left out"))


def _make_or_list(remote: Remote, folder: str) -> dict[str, RemoteEntry]:
    """What is in `folder` on the server, which is made when it is missing."""
    if is_folder(remote, folder):
        return {entry.name: entry for entry in bounded(remote, folder)}
    make_all(remote, folder)
    return {}


def _local_entries(engine: Engine, folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not is_part_name(entry.name)), key=lambda entry: entry.name)
    except OSError as failure:
        engine.notify(Notice(f"{folder} cannot be read: {failure.strerror}"))
        return []


def _kind_of(entry: os.DirEntry[str]) -> Kind:
    """A link to a file counts as the file; one to a folder is not followed, it may lead round in a circle."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return Kind.DIRECTORY
        return Kind.FILE if entry.is_file() else Kind.OTHER
    except OSError:
        return Kind.OTHER


# --- from the server ---


def downloads(engine: Engine, found: Sequence[Found], target: Path, *, recursive: bool) -> Iterator[Item]:
    """The items that fetch `found` as `target`, or into it when it is a folder."""
    into = target.is_dir() or str(target).endswith(os.sep)
    if len(found) > 1 and not into:
        raise UsageError(f"{target} is no folder of this machine to take {len(found)} names")
    folders = [path for path, entry in found if entry.is_directory]
    if folders and not recursive:
        raise UsageError(f"{folders[0]} is a folder; add -r to fetch it with everything in it")
    for match in found:
        path, entry = match
        place = safe_child(target, last_name(match)) if into and last_name(match) else target
        if entry.is_directory:
            yield from _download_tree(engine, path, place, last_name(match))
        else:
            yield download(path, place, name=last_name(match), known=Known(entry))


def _download_tree(engine: Engine, path: str, root: Path, title: str) -> Iterator[Item]:
    _make_folder(root)
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        segments = waiting.pop()
        folder = join(path, "/".join(segments)) if segments else path
        for entry in engine.attempt(functools.partial(_all, folder=folder)):
            below = (*segments, entry.name)
            try:
                place = safe_descendant(root, below)
            except SafetyRefused as refusal:
                engine.notify(Notice(str(refusal)))
                continue
            name = "/".join((title, *below)) if title else "/".join(below)
            if entry.is_directory and len(below) <= MAX_DEPTH:
                _make_folder(place)
                waiting.append(below)
            elif entry.kind is Kind.FILE:
                yield download(join(path, "/".join(below)), place, name=name, known=Known(entry))
            else:
                engine.notify(Notice(f"{name} is neither a file nor a folder, and was left out"))


def _all(remote: Remote, folder: str) -> list[RemoteEntry]:
    return [entry for entry in bounded(remote, folder) if not is_part_name(entry.name)]


def _make_folder(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise LocalFailed(f"{place} cannot be made: {failure.strerror}") from failure
