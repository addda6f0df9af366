"""What Tab offers: commands, names on the server, names on this machine.

The rule: it runs in a thread of its own over a connection of its own, and whatever goes wrong there is no names.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from homeport.cli.listing import in_order
from homeport.cli.remote_paths import join, resolve
from homeport.cli.shell.commands import ALIASES, COMMANDS
from homeport.cli.shell.table import Names
from homeport.cli.shell.words import Word, escaped, unfinished
from homeport.cli.terminal import printable
from homeport.client.errors import ClientError
from homeport.client.remote import Kind, RemoteEntry

if TYPE_CHECKING:
    from homeport.cli.shell.session import Session
    from homeport.client.remote import Remote

FRESH_S = 30.0
MOST_FOLDERS = 64
MOST_NAMES = 20_000


class RemoteNames:
    """The names in folders on the server, kept for a while. Used by the thread that completes."""

    def __init__(self, dial: Callable[[], Remote], clock: Callable[[], float] = time.monotonic) -> None:
        self._dial = dial
        self._clock = clock
        self._lock = threading.Lock()
        self._remote: Remote | None = None
        self._kept: dict[str, tuple[float, list[RemoteEntry]]] = {}

    def of(self, folder: str) -> list[RemoteEntry]:
        """The entries of `folder`; none when the server does not tell."""
        with self._lock:
            kept = self._kept.get(folder)
            if kept is not None and self._clock() - kept[0] < FRESH_S:
                return kept[1]
            try:
                entries = self._ask(folder)
            except (ClientError, OSError):
                return []
            while len(self._kept) >= MOST_FOLDERS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[folder] = (self._clock(), entries)
            return entries

    def forget(self) -> None:
        """Something was changed: look again."""
        self._kept = {}

    def close(self) -> None:
        """Let the connection go."""
        remote, self._remote = self._remote, None
        if remote is not None:
            with contextlib.suppress(ClientError, OSError):
                remote.close()

    def _ask(self, folder: str) -> list[RemoteEntry]:
        was_open = self._remote is not None and self._remote.is_open
        try:
            return self._list(folder)
        except ClientError:
            if not was_open or (self._remote is not None and self._remote.is_open):
                raise
        return self._list(folder)  # the server had given up the idle connection

    def _list(self, folder: str) -> list[RemoteEntry]:
        if self._remote is None or not self._remote.is_open:
            self._remote = self._dial()
        entries = []
        for entry in self._remote.list(folder):
            entries.append(entry)
            if len(entries) >= MOST_NAMES:
                break
        return in_order(entries)


class ShellCompleter(Completer):
    """For prompt_toolkit, which calls it in a thread."""

    def __init__(self, session: Session, names: RemoteNames) -> None:
        self._session = session
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """What the word before the cursor can become."""
        line = unfinished(document.text_before_cursor)
        if line.local is not None or not line.words:
            return
        word = line.words[-1]
        if len(line.words) == 1:
            yield from _commands(word)
            return
        name = ALIASES.get(line.words[0].text, line.words[0].text)
        if name not in COMMANDS:
            return
        earlier = sum(not each.text.startswith("-") for each in line.words[1:-1])
        for entry, folder in self._candidates(COMMANDS[name].completes, word, earlier):
            yield _completion(entry, folder, word, document.text_before_cursor)

    def _candidates(self, kind: Names, word: Word, earlier: int) -> Iterator[tuple[RemoteEntry, str]]:
        if kind is Names.COMMANDS:
            for name in COMMANDS:
                if name.startswith(word.text):
                    yield RemoteEntry(name, Kind.FILE), ""
            return
        folder, _, beginning = word.text.rpartition("/")
        above = word.text[: len(folder) + 1] if "/" in word.text else ""
        is_local = kind in (Names.LOCAL, Names.LOCAL_FOLDER) or (kind is Names.REMOTE_THEN_LOCAL and earlier > 0)
        if kind is Names.NOTHING:
            return
        entries = self._local(above) if is_local else self._names.of(resolve(self._session.folder, above or "."))
        only_folders = kind in (Names.REMOTE_FOLDER, Names.LOCAL_FOLDER)
        for entry in entries:
            if not entry.name.startswith(beginning) or (entry.name.startswith(".") and not beginning):
                continue
            if not only_folders or entry.kind in (Kind.DIRECTORY, Kind.LINK):
                yield entry, above

    def _local(self, above: str) -> list[RemoteEntry]:
        folder: Path = self._session.local_path_of(above or ".")
        try:
            with os.scandir(folder) as found:
                return in_order(
                    RemoteEntry(entry.name, Kind.DIRECTORY if entry.is_dir() else Kind.FILE) for entry in found
                )
        except OSError:
            return []


def _commands(word: Word) -> Iterator[Completion]:
    for name, command in COMMANDS.items():
        if name.startswith(word.text):
            yield Completion(name + " ", -len(word.text), display=name, display_meta=command.help)


def _completion(entry: RemoteEntry, above: str, word: Word, typed: str) -> Completion:
    """A name in place of the word, quoted as the person began it; a folder stays open for more."""
    opened = word.quote or (typed[word.start] if typed[word.start : word.start + 1] in ("'", '"') else "")
    text = opened + escaped(join(above, entry.name) if above else entry.name, opened)
    text += "/" if entry.is_directory else opened + " "
    shown = printable(entry.name) + ("/" if entry.is_directory else "")
    return Completion(text, word.start - len(typed), display=shown)
