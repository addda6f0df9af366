"""The chat on a terminal: a line editor below, what is said above it. One rule: prompt_toolkit does all the drawing,
for it knows how wide characters are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from homeport.cli.chat.completing import ChatCompleter
from homeport.cli.chat.conversation import Conversation, Quit
from homeport.cli.chat.lines import STYLES, Line
from homeport.cli.terminal import printable
from homeport.client.chat.client import ChatClient
from homeport.client.errors import ClientError

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

_READ_EVERY_S = 3.0


class Screen:
    """One person's. `terminal` and `output` are the process's own unless given."""

    def __init__(self, chat: ChatClient, terminal: Input | None = None, output: Output | None = None) -> None:
        self._style = Style.from_dict(STYLES)
        self._output = output
        self.conversation = Conversation(chat, self._write)
        self._editor: PromptSession[str] = PromptSession(
            completer=ChatCompleter(self.conversation),
            complete_while_typing=False,
            style=self._style,
            bottom_toolbar=self._toolbar,
            erase_when_done=True,  # what was typed comes back as what was said
            input=terminal,
            output=output,
        )

    async def run(self, room: str | None) -> None:
        """Talk until the person leaves. Raises ClientError when there is no way back in."""
        with patch_stdout():
            await self.conversation.enter(room)
            hearing = asyncio.create_task(self._hear())
            reading = asyncio.create_task(self._read_so_far())
            typing = asyncio.create_task(self._type())
            try:
                await asyncio.wait({hearing, typing}, return_when=asyncio.FIRST_COMPLETED)
                for task in (hearing, typing):
                    if task.done():
                        task.result()
            finally:
                for task in (hearing, typing, reading):
                    task.cancel()
                await asyncio.gather(hearing, typing, reading, return_exceptions=True)
                with contextlib.suppress(ClientError, TimeoutError):
                    await asyncio.wait_for(self.conversation.read_so_far(), 1.0)

    async def _type(self) -> None:
        while True:
            try:
                line = await self._editor.prompt_async(self._prompt)
            except (EOFError, KeyboardInterrupt):
                return
            try:
                await self.conversation.type(line)
            except Quit:
                return

    async def _hear(self) -> None:
        async for news in self.conversation.chat:
            self.conversation.hear(news)
            self._editor.app.invalidate()

    async def _read_so_far(self) -> None:
        while True:
            await asyncio.sleep(_READ_EVERY_S)
            with contextlib.suppress(ClientError):
                await self.conversation.read_so_far()

    def _prompt(self) -> str:
        return f"{printable(self.conversation.room) or '(no room)'}> "

    def _toolbar(self) -> str:
        waiting = [
            f"{printable(room)}: {count}{'!' if room in self.conversation.mentioned else ''}"
            for room, count in sorted(self.conversation.unread.items())
            if count
        ]
        return f" {printable(self.conversation.own_name)}   unread  {'   '.join(waiting) or 'nothing'}   /help "

    def _write(self, lines: Iterable[Line]) -> None:
        for line in lines:
            print_formatted_text(FormattedText(line), style=self._style, output=self._output)
