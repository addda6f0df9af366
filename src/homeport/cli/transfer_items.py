"""From what a person names to what the engine does: files and folders, into a folder or to a name, as `cp` does it.

One rule: items come as a stream while the folders are being read, each after the folder that it needs was made; what
is neither file nor folder is left out and said.
"""

from __future__ import annotations

import functools
import itertools
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
from homeport.client.errors import LocalFailed, ProtocolViolation, SafetyRefused, UsageError
from homeport.client.events import Notice, Scanned
from homeport.client.items import Item, Known, download, upload
from homeport.client.local_names import safe_child, safe_descendant
from homeport.client.partial import is_part_name
from homeport.client.remote import Kind, RemoteEntry
from homeport.client.walking import Walked, tree_remote

if TYPE_CHECKING:
    from homeport.client.engine import Engine
    from homeport.client.remote import Remote

MAX_DEPTH = 200
MAX_WALKED = 5_000_000
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
    if into and not all(source.is_folder for source in sources):  # folders are made with all above them
        engine.attempt(lambda remote: make_all(remote, target))
    for source in sources:
        place = join(target, source.name) if into else target
        if source.is_folder:
            yield from _upload_tree(engine, source, place)
        else:
            yield upload(source.path, place, name=source.name, size=source.facts.st_size)


def _upload_tree(engine: Engine, source: Source, target: str) -> Iterator[Item]:
    level = [(source.path, target, source.name)]
    there = _There(engine, target)
    while level:
        there.make_ready([place for _, place, _ in level])
        below = []
        for folder, place, label in level:
            known = there.entries_of(place)
            for entry in _local_entries(engine, folder):
                kind = _kind_of(entry)
                path, name = Path(entry.path), f"{label}/{entry.name}"
                if kind is Kind.DIRECTORY:
                    below.append((path, join(place, entry.name), name))
                elif kind is Kind.FILE:
                    size = entry.stat().st_size
                    yield upload(
                        path, join(place, entry.name), name=name, size=size, known=Known(known.get(entry.name))
                    )
                else:
                    engine.notify(Notice(f"{path} is neither a file nor a folder, and was left out"))
        level = below


class _There:
    """What is on the server below a folder that is stored, which is made where it is missing: told in one answer, or
    folder by folder.
    """

    def __init__(self, engine: Engine, root: str) -> None:
        self._engine = engine
        self._told = engine.attempt(functools.partial(_make_and_walk, root=root))

    def make_ready(self, places: list[str]) -> None:
        """The folders of one level are wanted next."""
        told = self._told
        if told is None:
            return
        missing = [place for place in places if place not in told]
        if missing:
            self._engine.attempt(lambda remote: _make(remote, missing))

    def entries_of(self, place: str) -> dict[str, RemoteEntry]:
        """What is in one of them."""
        if self._told is None:
            return self._engine.attempt(functools.partial(_make_or_list, folder=place))
        return self._told.get(place, {})


def _make(remote: Remote, places: list[str]) -> None:
    knows_trees = tree_remote(remote)
    assert knows_trees is not None
    knows_trees.make_directories(places)


def _make_and_walk(remote: Remote, root: str) -> dict[str, dict[str, RemoteEntry]] | None:
    """The entries of all folders below `root`, by path; None where the server tells no trees."""
    knows_trees = tree_remote(remote)
    if knows_trees is None:
        return None
    found: dict[str, dict[str, RemoteEntry]] = {root: {}}
    for walked in knows_trees.make_and_walk(root):
        *above, name = walked.segments
        place = join(root, "/".join(above)) if above else root
        if walked.entry is None or place not in found:
            continue
        found[place][name] = walked.entry
        if walked.entry.is_directory:
            found[join(place, name)] = {}
    return found


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
    for below, entry in _entries_below(engine, path):
        try:
            place = safe_descendant(root, below)
        except SafetyRefused as refusal:
            engine.notify(Notice(str(refusal)))
            continue
        name = "/".join((title, *below)) if title else "/".join(below)
        if entry.is_directory and len(below) <= MAX_DEPTH:
            _make_folder(place)
        elif entry.kind is Kind.FILE:
            yield download(join(path, "/".join(below)), place, name=name, known=Known(entry))
        else:
            engine.notify(Notice(f"{name} is neither a file nor a folder, and was left out"))


def _entries_below(engine: Engine, path: str) -> Iterator[tuple[tuple[str, ...], RemoteEntry]]:
    """Everything below the server's folder `path`, each folder before what is in it."""
    whole = engine.attempt(functools.partial(_walk, path=path))
    if whole is not None:
        yield from _credible(engine, whole)
        return
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        segments = waiting.pop()
        folder = join(path, "/".join(segments)) if segments else path
        for entry in engine.attempt(functools.partial(_all, folder=folder)):
            below = (*segments, entry.name)
            if entry.is_directory and len(below) <= MAX_DEPTH:
                waiting.append(below)
            yield below, entry


def _walk(remote: Remote, path: str) -> list[Walked] | None:
    """The whole tree where the server tells one. Raises ProtocolViolation for one that does not end."""
    knows_trees = tree_remote(remote)
    if knows_trees is None:
        return None
    found = list(itertools.islice(knows_trees.walk(path), MAX_WALKED + 1))
    if len(found) > MAX_WALKED:
        raise ProtocolViolation(f"the server lists more than {MAX_WALKED} names below {path}")
    return found


def _credible(engine: Engine, whole: Iterable[Walked]) -> Iterator[tuple[tuple[str, ...], RemoteEntry]]:
    """What lies in a folder that came before, and is wanted."""
    folders: set[tuple[str, ...]] = {()}
    for walked in whole:
        below = walked.segments
        if below[:-1] not in folders or is_part_name(below[-1]):
            continue
        if walked.entry is None:
            engine.notify(Notice(f"{'/'.join(below)} cannot be read: {walked.reason}"))
            continue
        if walked.entry.is_directory and len(below) <= MAX_DEPTH:
            folders.add(below)
        yield below, walked.entry


def _all(remote: Remote, folder: str) -> list[RemoteEntry]:
    return [entry for entry in bounded(remote, folder) if not is_part_name(entry.name)]


def _make_folder(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise LocalFailed(f"{place} cannot be made: {failure.strerror}") from failure
