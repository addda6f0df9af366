"""The line editor: history, completion, and lines that arrive while somebody types."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from homeport.cli.shell.completing import RemoteNames, ShellCompleter
from homeport.client.places import state_folder

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from homeport.cli.shell.session import Session


class Prompter:
    """Asks for one line after the other. `terminal` and `screen` are the process's own unless given."""

    def __init__(self, session: Session, terminal: Input | None = None, screen: Output | None = None) -> None:
        names = RemoteNames(session.connector.dialer(session.url))
        session.forget_names = names.forget
        self._names = names
        self._editor: PromptSession[str] = PromptSession(
            history=history(),
            completer=ShellCompleter(session, names),
            complete_in_thread=True,
            complete_while_typing=False,
            input=terminal,
            output=screen,
        )

    def ask(self, prompt: str) -> str:
        """A line. What others print meanwhile appears above it. Raises EOFError, KeyboardInterrupt."""
        with patch_stdout():
            return self._editor.prompt(prompt)

    def close(self) -> None:
        """Let the completer's connection go."""
        self._names.close()


class TidyHistory(FileHistory):
    """Writes what no UTF-8 file can hold as question marks."""

    def store_string(self, string: str) -> None:
        """A line, when it was entered."""
        super().store_string(string.encode("utf-8", "replace").decode("utf-8"))


def history() -> History:
    """The lines of earlier shells, for this person's eyes alone; where they cannot be kept, those of this one."""
    path = state_folder() / "shell-history"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError:
        return InMemoryHistory()
    return TidyHistory(str(path))
