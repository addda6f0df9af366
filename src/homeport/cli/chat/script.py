"""The chat without a terminal: lines in, lines out; with `--json` one object for each thing that happens, for bots.

What comes in is a command, a text for the room, or with `--json` also {"room": ..., "text": ..., "kind": ...}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import TextIO

from homeport.cli.chat.conversation import Conversation, Quit
from homeport.cli.chat.lines import Line, plain
from homeport.cli.terminal import put, put_json, say
from homeport.client.chat.client import ChatClient, News
from homeport.client.errors import ServerRefused


class Script:
    """One run."""

    def __init__(self, chat: ChatClient, *, as_json: bool) -> None:
        self._as_json = as_json
        self.conversation = Conversation(chat, self._write)

    async def run(self, room: str | None, lines: TextIO = sys.stdin) -> None:
        """Until the input ends. Raises ClientError when there is no way back in."""
        hearing = asyncio.create_task(self._hear())
        await self.conversation.enter(room)
        typing = asyncio.create_task(self._type(lines))
        try:
            await asyncio.wait({hearing, typing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (hearing, typing):
                if task.done():
                    task.result()
        finally:
            for task in (hearing, typing):
                task.cancel()
            await asyncio.gather(hearing, typing, return_exceptions=True)

    async def _type(self, lines: TextIO) -> None:
        with contextlib.suppress(Quit):
            while line := await asyncio.to_thread(lines.readline):
                await self._one(line.rstrip("\n"))

    async def _one(self, line: str) -> None:
        if self._as_json and line.startswith("{"):
            await self._say_object(line)
        else:
            await self.conversation.type(line)

    async def _say_object(self, line: str) -> None:
        try:
            said = json.loads(line)
            room, text, kind = str(said["room"]), str(said["text"]), str(said.get("kind", "say"))
        except (ValueError, KeyError, RecursionError) as error:
            put_json({"event": "error", "message": f'no {{"room": ..., "text": ...}}: {error}'})
            return
        try:
            number = await self.conversation.chat.say(room, text, kind=kind)
        except ServerRefused as error:
            put_json({"event": "error", "message": str(error)})
        else:
            put_json({"event": "stored", "room": room, "id": number})

    async def _hear(self) -> None:
        async for news in self.conversation.chat:
            if self._as_json:
                put_json(_object(news))
            else:
                self.conversation.hear(news)

    def _write(self, lines: Iterable[Line]) -> None:
        if self._as_json:
            for line in lines:
                say(plain([line]))
        else:
            put(plain(lines))


def _object(news: News) -> dict[str, object]:
    return {"event": type(news).__name__.lower(), **asdict(news)}
