"""A command's side of the control socket: one question, one answer, without an event loop.

One rule: whatever goes wrong becomes a DaemonError; never a traceback.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from homeport.daemon.errors import ControlFailed, ControlRefused, InstanceUnusable, NotReady, NotRunning
from homeport.daemon.instance import Instance
from homeport.daemon.wire import MAX_ANSWER_BYTES, BadMessage, Message, decode, encode

_POLL_S = 0.05
_NOT_OURS = "its control socket is closed to user {user}; run this as the user whose server it is"
_SUN_PATH = 100  # sockaddr_un holds 108 bytes on Linux, 104 on macOS


def ask(instance: Instance, verb: str, arguments: Message | None = None, *, timeout_s: float = 30.0) -> Message:
    """What the running server answers to `verb`.

    Raises NotRunning, ControlRefused with the server's reason, ControlFailed, or InstanceUnusable where we may not ask.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connect(connection, instance.control_socket)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise NotRunning(str(instance.directory)) from None
        except PermissionError as error:
            raise InstanceUnusable(str(instance.directory), _NOT_OURS.format(user=os.geteuid())) from error
        except OSError as error:
            raise ControlFailed(f"{instance.control_socket}: {error.strerror}") from error
        try:
            connection.sendall(encode({"verb": verb, **(arguments or {})}))
            answer = decode(_read_line(connection))
        except TimeoutError:
            raise ControlFailed(f"no answer within {timeout_s:g} s") from None
        except (OSError, BadMessage) as error:
            raise ControlFailed(str(error)) from error
    if answer.get("ok") is True:
        result: Message = answer.get("result") or {}
        return result
    raise ControlRefused(str(answer.get("kind", "refused")), str(answer.get("error", "refused")))


def tell(instance: Instance, verb: str, arguments: Message | None = None) -> bool:
    """As `ask`, for news that matter only to a running server; whether there is one."""
    try:
        ask(instance, verb, arguments)
    except NotRunning:
        return False
    return True


def wait_until_ready(
    instance: Instance,
    wait_s: float,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Message:
    """The status of the server once it is ready. Raises NotReady after `wait_s` seconds."""
    deadline = now() + wait_s
    while True:
        try:
            status = ask(instance, "status", timeout_s=max(1.0, wait_s))
        except (NotRunning, ControlFailed):
            status = {}
        if status.get("state") == "ready":
            return status
        if now() >= deadline:
            raise NotReady(wait_s)
        sleep(_POLL_S)


def connect(connection: socket.socket, path: Path) -> None:
    """Connect to the Unix socket at `path`, however long the path is. Raises OSError."""
    with short_path(path) as usable:
        connection.connect(usable)


class short_path:  # noqa: N801 - reads as the context manager that it is
    """A name for the socket `path` that fits into sockaddr_un: the path, or one through its folder's descriptor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= _SUN_PATH:
            return str(self._path)
        self._fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _read_line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        piece = connection.recv(65536)
        if not piece:
            raise BadMessage("the connection ended before the answer")
        received += piece
        if len(received) > MAX_ANSWER_BYTES:
            raise BadMessage("the answer is too long")
    return bytes(received)
