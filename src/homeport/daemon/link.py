"""The line between master and one worker: both may call, both may tell; JSON lines over a socket pair.

One rule: when the other side is gone, every call that waits ends with LinkClosed, and nothing waits for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable

from homeport.daemon.errors import ControlRefused
from homeport.daemon.wire import MAX_ANSWER_BYTES, Message, decode, encode

_log = logging.getLogger(__name__)

Handler = Callable[[str, Message], Awaitable[Message | None]]


class LinkClosed(Exception):
    """The other process is gone."""


class Link:
    """`handler(verb, arguments)` answers what the other side asks; what it returns must fit into JSON."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, connection: socket.socket) -> None:
        """Take over `connection`; from now on it can be called and told."""
        self._reader, self._writer = await asyncio.open_connection(sock=connection, limit=MAX_ANSWER_BYTES)

    async def run(self) -> None:
        """Listen to the other side until it is gone."""
        assert self._reader is not None
        try:
            while line := await self._reader.readline():
                self._take(decode(line))
        except (OSError, ValueError) as error:  # BadMessage and overlong lines are ValueErrors
            _log.error("the link to another process broke: %s", error)
        finally:
            self._end()

    async def call(self, verb: str, arguments: Message | None = None, *, timeout_s: float = 10.0) -> Message:
        """What the other side answers. Raises LinkClosed, TimeoutError, or ControlRefused with its reason."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"verb": verb, "number": number, "arguments": arguments or {}})
            return await asyncio.wait_for(future, timeout_s)
        finally:
            self._waiting.pop(number, None)

    def tell(self, verb: str, arguments: Message | None = None) -> None:
        """As `call` without an answer. Raises LinkClosed."""
        self._send({"verb": verb, "arguments": arguments or {}})

    def _send(self, message: Message) -> None:
        if self._writer is None or self._writer.is_closing():
            raise LinkClosed
        self._writer.write(encode(message))

    def _take(self, message: Message) -> None:
        if "verb" in message:
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        future = self._waiting.get(message["answer"])
        if future is None or future.done():
            return
        if message["ok"]:
            future.set_result(message["result"])
        else:
            future.set_exception(ControlRefused(message["kind"], message["error"]))

    async def _answer(self, message: Message) -> None:
        answer: Message = {"answer": message.get("number"), "ok": True, "result": {}}
        try:
            answer["result"] = await self._handler(message["verb"], message["arguments"]) or {}
        except ControlRefused as error:
            answer |= {"ok": False, "kind": error.kind, "error": error.text}
        except Exception as error:  # noqa: BLE001 - logged, and the other side must have an answer
            _log.exception("%s failed", message["verb"])
            answer |= {"ok": False, "kind": "failed", "error": f"{message['verb']}: {error}"}
        if "number" in message and self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(answer))

    def _end(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LinkClosed())
        if self._writer is not None:
            self._writer.close()
