"""The server's side of the control socket: Unix, mode 0600, one JSON object a line.

One rule: only the server's own user and root are heard, and nothing that they send can harm more than their connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from homeport.daemon.control_client import short_path
from homeport.daemon.errors import ControlRefused
from homeport.daemon.wire import MAX_REQUEST_BYTES, BadMessage, Message, decode, encode

Handler = Callable[[Message], Awaitable[Message | None]]

_log = logging.getLogger(__name__)
_MAX_CONNECTIONS = 64
_IDLE_TIMEOUT_S = 60.0
_UCRED = struct.Struct("3i")


def peer_is_trusted(connection: socket.socket, own_uid: int) -> bool:
    """Whether the process at the other end belongs to `own_uid` or to root, as the kernel says."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # macOS: the folder's mode 0700 and the socket's 0600 keep others out
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return uid in (0, own_uid)


class ControlServer:
    """Listens on `path` and answers with what `handler` returns; ControlRefused becomes a refusal."""

    def __init__(self, path: Path, handler: Handler, *, own_uid: int | None = None) -> None:
        self._path = path
        self._handler = handler
        self._own_uid = os.geteuid() if own_uid is None else own_uid
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. The instance's lock is held, so a socket file that is there is a dead server's. Raises OSError."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_path(self._path) as usable:
                listener.bind(usable)
            self._path.chmod(0o600)
            listener.setblocking(False)
            self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_REQUEST_BYTES)
        except BaseException:
            listener.close()
            raise

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            connection: socket.socket = writer.get_extra_info("socket")
            if len(self._connections) <= _MAX_CONNECTIONS and peer_is_trusted(connection, self._own_uid):
                await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # the peer went away or dawdled, or the server stops
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), _IDLE_TIMEOUT_S)
            except ValueError:  # longer than the limit
                await self._send(writer, refusal("usage", f"a request is longer than {MAX_REQUEST_BYTES} bytes"))
                return
            if not line:
                return
            await self._send(writer, await self._answer(line))

    async def _answer(self, line: bytes) -> Message:
        try:
            return {"ok": True, "result": await self._handler(decode(line)) or {}}
        except BadMessage as error:
            return refusal("usage", f"a request must be one JSON object in one line: {error}")
        except ControlRefused as error:
            return refusal(error.kind, error.text)
        except Exception:  # noqa: BLE001 - logged, and the peer must have an answer
            _log.exception("a control request failed")
            return refusal("failed", "the server failed to do it; its log on standard error says more")

    async def _send(self, writer: asyncio.StreamWriter, answer: Message) -> None:
        writer.write(encode(answer))
        await asyncio.wait_for(writer.drain(), _IDLE_TIMEOUT_S)


def refusal(kind: str, text: str) -> Message:
    """The answer that says no. `kind`: usage, not-found, config, busy or failed."""
    return {"ok": False, "kind": kind, "error": text}
