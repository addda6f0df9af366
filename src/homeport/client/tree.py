"""Trees as both sides show them: what a scan finds, in one shape, whether it lies here or over there.

The one rule: a scan follows no link and is bounded in entries and depth, so that neither a loop nor a server that
invents folders can keep it going for ever. What cannot be read is part of the result, never silently left out.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from homeport.client.errors import ClientError, LocalFailed, ProtocolViolation, SafetyRefused
from homeport.client.local_names import check_name
from homeport.client.partial import is_part_name
from homeport.client.remote import Kind, RemoteEntry
from homeport.client.walking import Walked

Segments = tuple[str, ...]

_SAY_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Node:
    """One name below the root; `size` in bytes, `mtime` in seconds since the epoch, None where nobody tells."""

    segments: Segments
    kind: Kind
    size: int | None = None
    mtime: float | None = None

    @property
    def is_folder(self) -> bool:
        return self.kind is Kind.DIRECTORY


@dataclass(frozen=True, slots=True)
class Problem:
    """A name that takes no part, and why, as a sentence."""

    segments: Segments
    reason: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a scan takes in."""

    max_entries: int = 5_000_000
    max_depth: int = 256


@dataclass(slots=True)
class Tree:
    """What a scan has found. `unread` are the folders whose content is not known; nothing in them may be judged."""

    nodes: dict[Segments, Node] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[Segments] = field(default_factory=set)

    def add(self, node: Node) -> None:
        self.nodes[node.segments] = node

    def cannot_read(self, segments: Segments, reason: str) -> None:
        self.unread.add(segments)
        self.problems.append(Problem(segments, reason))

    @property
    def files(self) -> int:
        return sum(not node.is_folder for node in self.nodes.values())

    @property
    def bytes(self) -> int:
        return sum(node.size or 0 for node in self.nodes.values())


Heard = Callable[[int, int], None]
"""Hears how many files and bytes there are so far."""


class _Scan:
    """The part that both sides share: bounds and counting."""

    def __init__(self, bounds: Bounds, heard: Heard) -> None:
        self.tree = Tree()
        self._bounds = bounds
        self._heard = heard
        self._files = self._bytes = 0

    def take(self, node: Node) -> bool:
        """Put it in. False when it is a folder too deep to be entered."""
        if len(self.tree.nodes) >= self._bounds.max_entries:
            raise SafetyRefused(f"there are more than {self._bounds.max_entries} names; nothing was changed")
        self.tree.add(node)
        if not node.is_folder:
            self._files += 1
            self._bytes += node.size or 0
            return False
        if len(node.segments) >= self._bounds.max_depth:
            self.tree.cannot_read(node.segments, f"more than {self._bounds.max_depth} folders deep; not entered")
            return False
        return True

    def folder_done(self) -> None:
        self._heard(self._files, self._bytes)


def scan_local(root: Path, *, bounds: Bounds | None = None, heard: Heard = lambda _files, _bytes: None) -> Tree:
    """The tree below `root`. Raises LocalFailed when `root` itself cannot be read, SafetyRefused over the bounds."""
    scan = _Scan(bounds or Bounds(), heard)
    open_folders: list[Segments] = [()]
    while open_folders:
        folder = open_folders.pop()
        try:
            with os.scandir(root.joinpath(*folder)) as entries:
                for entry in entries:
                    node = _local_node(scan.tree, folder, entry)
                    if node is not None and scan.take(node):
                        open_folders.append(node.segments)
        except OSError as failure:
            if not folder:
                raise LocalFailed(f"{root} cannot be read: {failure.strerror}") from failure
            scan.tree.cannot_read(folder, f"cannot be read: {failure.strerror}")
        scan.folder_done()
    return scan.tree


def _local_node(tree: Tree, folder: Segments, entry: os.DirEntry[str]) -> Node | None:
    segments = (*folder, entry.name)
    if is_part_name(entry.name):
        return None
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError as failure:
        tree.cannot_read(segments, f"cannot be looked at: {failure.strerror}")
        return None
    if stat.S_ISDIR(found.st_mode):
        return Node(segments, Kind.DIRECTORY, None, found.st_mtime)
    if stat.S_ISREG(found.st_mode):
        return Node(segments, Kind.FILE, found.st_size, found.st_mtime)
    what = "a link" if stat.S_ISLNK(found.st_mode) else "no ordinary file"
    tree.problems.append(Problem(segments, f"{what}; left out"))
    return Node(segments, Kind.LINK if stat.S_ISLNK(found.st_mode) else Kind.OTHER)


class RemoteScan(_Scan):
    """A scan of the tree below the server's folder `root`, listing by listing, in whatever order they come.

    Names that could not be files here are problems, not nodes. Used by several threads.
    """

    def __init__(self, root: str, *, bounds: Bounds | None = None, heard: Heard = lambda _files, _bytes: None) -> None:
        super().__init__(bounds or Bounds(), heard)
        self.root = root
        self._open: list[Segments] = [()]
        self._lock = threading.Lock()

    def take_open(self) -> list[Segments]:
        """The folders that are to be listed next; none when the tree is whole."""
        taken, self._open = self._open, []
        return taken

    def listed(self, folder: Segments, entries: Iterable[RemoteEntry]) -> None:
        """What is in `folder`. Raises SafetyRefused over the bounds, ProtocolViolation for a name that comes twice."""
        with self._lock:
            for entry in entries:
                node = _remote_node(self.tree, folder, entry)
                if node is not None and self.take(node):
                    self._open.append(node.segments)
            self.folder_done()

    def walked(self, found: Iterable[Walked]) -> None:
        """Everything below the root, as one answer tells it. What is not in a folder that was taken is left out.

        Raises SafetyRefused over the bounds, ProtocolViolation for a name that comes twice.
        """
        self._open = []
        for count, walked in enumerate(found, 1):
            if count > self._bounds.max_entries:
                raise SafetyRefused(f"there are more than {self._bounds.max_entries} names; nothing was changed")
            segments = walked.segments
            parent = segments[:-1]
            if parent and (parent in self.tree.unread or parent not in self.tree.nodes):
                continue
            if walked.entry is None:
                self.tree.cannot_read(segments, walked.reason)
            elif (node := _remote_node(self.tree, parent, walked.entry)) is not None:
                self.take(node)
            if count % _SAY_EVERY == 0:
                self.folder_done()
        self.folder_done()

    def refused(self, folder: Segments, error: ClientError) -> None:
        """`folder` could not be listed. Raises `error` when it is the root, or when the tree is too large."""
        if not folder or isinstance(error, SafetyRefused):
            raise error
        self.tree.cannot_read(folder, str(error))


def _remote_node(tree: Tree, folder: Segments, entry: RemoteEntry) -> Node | None:
    segments = (*folder, entry.name)
    if is_part_name(entry.name):
        return None
    try:
        check_name(entry.name)
    except SafetyRefused as refused:
        tree.problems.append(Problem(segments, str(refused)))
        return None
    if segments in tree.nodes:
        raise ProtocolViolation(f"the server lists {entry.name!r} twice in one folder")
    if entry.kind in (Kind.LINK, Kind.OTHER):
        tree.problems.append(Problem(segments, "no ordinary file or folder on the server; left out"))
    return Node(segments, entry.kind, entry.size, entry.mtime)


def join_remote(root: str, segments: Segments) -> str:
    """The server's path of something below `root`."""
    return "/".join((root.rstrip("/"), *segments)) or "/"


def folds_names(folder: Path) -> bool:
    """Whether the file system of `folder` takes names for one that differ only in case (macOS, Windows)."""
    probe = folder / f".homeport-case-{os.getpid()}"
    with suppress(OSError):
        probe.touch(exist_ok=False)
        try:
            return (folder / probe.name.upper()).exists()
        finally:
            probe.unlink()
    return False


def walk_up(segments: Segments) -> Iterator[Segments]:
    """The folders above, nearest first, without the root."""
    for length in range(len(segments) - 1, 0, -1):
        yield segments[:length]
