"""The shell's commands: one row a command. Dispatch, arity, `help` and completion are derived from it.

The rule: a row's handler does the deed and nothing else; what it may be given is said here.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeport.cli.shell.words import Line, Word
from homeport.client.errors import UsageError

if TYPE_CHECKING:
    from homeport.cli.shell.session import Session


class Names(enum.Enum):
    """What Tab completes after a command."""

    NOTHING = "nothing"
    REMOTE = "remote"
    REMOTE_FOLDER = "remote folder"
    LOCAL = "local"
    LOCAL_FOLDER = "local folder"
    REMOTE_THEN_LOCAL = "remote, then local"
    COMMANDS = "commands"


@dataclass(frozen=True, slots=True)
class Call:
    """A command with what it was given."""

    words: tuple[Word, ...] = ()
    flags: frozenset[str] = frozenset()
    in_background: bool = False

    @property
    def texts(self) -> list[str]:
        """The words as text."""
        return [word.text for word in self.words]


Handler = Callable[["Session", Call], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`takes` is the least and most number of words; None is any number. `flags` are one-letter options."""

    name: str
    arguments: str
    help: str
    handler: Handler
    takes: tuple[int, int | None] = (0, 0)
    flags: str = ""
    completes: Names = Names.NOTHING
    may_wait: bool = False  # may go to the background

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"{self.name} {self.arguments}".rstrip()


def find(commands: Mapping[str, Command], name: str) -> Command:
    """The row of `name`. Raises UsageError that names the nearest ones."""
    command = commands.get(name)
    if command is None:
        close = difflib.get_close_matches(name, commands, n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(close)}?" if close else "`help` lists all"
        raise UsageError(f"no command is called {name!r}; {advice}")
    return command


def call_of(command: Command, line: Line) -> Call:
    """What `line` gives to `command`. Raises UsageError that shows how it is typed."""
    words, flags = _options(command, line.words[1:])
    least, most = command.takes
    if len(words) < least or (most is not None and len(words) > most):
        raise UsageError(f"type it as: {command.usage}")
    if line.in_background and not command.may_wait:
        raise UsageError(f"{command.name} cannot go to the background; transfers can")
    return Call(tuple(words), frozenset(flags), line.in_background)


def _options(command: Command, given: list[Word]) -> tuple[list[Word], set[str]]:
    words: list[Word] = []
    flags: set[str] = set()
    for index, word in enumerate(given):
        if word.text == "--":
            return words + given[index + 1 :], flags
        if word.text.startswith("-") and len(word.text) > 1:
            unknown = set(word.text[1:]) - set(command.flags)
            if unknown:
                raise UsageError(f"{command.name} has no option -{min(unknown)}; type it as: {command.usage}")
            flags |= set(word.text[1:])
        else:
            words.append(word)
    return words, flags
