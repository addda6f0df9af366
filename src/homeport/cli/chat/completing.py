"""Tab in the chat: commands at the beginning of a line, names of rooms and people after them. Nothing is asked of the
server for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from homeport.cli.chat.conversation import COMMANDS, Conversation
from homeport.cli.terminal import printable

_ROOMS = frozenset({"join", "leave", "who"})


class ChatCompleter(Completer):
    """For one conversation."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """See prompt_toolkit."""
        line = document.text_before_cursor
        begin = line.rpartition(" ")[2]
        for word in self._words(line):
            if word.casefold().startswith(begin.casefold()) and printable(word) == word:
                yield Completion(word + " ", -len(begin), display=word)

    def _words(self, line: str) -> list[str]:
        conversation = self._conversation
        people = sorted(conversation.names - {conversation.own_name}, key=str.casefold)
        command, space, _ = line.partition(" ")
        if not space and line.startswith("/"):
            return [f"/{name}" for name in COMMANDS]
        if command.removeprefix("/") in _ROOMS and line.startswith("/"):
            return [*sorted(conversation.known_rooms), *(f"@{name}" for name in people)]
        if command == "/msg":
            return people
        return people if space else [f"{name}:" for name in people]
