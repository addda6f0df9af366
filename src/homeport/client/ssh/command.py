"""A command on the server, or a shell: its output to sinks, its input from whoever has some, its end as a status.

The one rule: no more output is taken from the connection than the sinks take, so memory stays bounded whatever the
command prints and however slowly it is read.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import asyncssh

from homeport.client.errors import ConnectionFailed, Incompatible, PermissionRefused
from homeport.client.ssh.connection import SshConnection

_WINDOW_BYTES = 2 * 1024 * 1024


class Sink(Protocol):
    """Where output goes. Called inside the loop, so it must not wait."""

    def take(self, data: bytes) -> bool:
        """Whether more may come at once; after False it waits for `RemoteCommand.resume`."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether `resume` is still to be waited for."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """A terminal: what it is called, and how many characters wide and high it is."""

    kind: str
    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: by its own status, or by a signal such as KILL."""

    status: int | None
    signal: str | None = None

    @property
    def code(self) -> int:
        """The exit status as a shell tells it: 128 and the signal's number where one has ended it."""
        if self.signal is None:
            return 255 if self.status is None else self.status
        number = getattr(signal, f"SIG{self.signal}", None)
        return 255 if number is None else 128 + int(number)


class RemoteCommand(asyncssh.SSHClientSession[bytes]):
    """One command; `run` drives it to its end. The other methods are for callbacks inside the loop."""

    def __init__(self, connection: SshConnection, output: Sink, errors: Sink) -> None:
        self._connection = connection
        self._sinks = {None: output, asyncssh.EXTENDED_DATA_STDERR: errors}
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._ended: Ended | None = None
        self._is_over = False
        self._is_pausing = False
        self.writable: Callable[[], None] | None = None
        self._writing_paused = False

    # --- for whoever wants it run ---

    def start(self, command: str | None, window: Window | None) -> None:
        """Begin `command`, or a shell. Raises PermissionRefused where the server does not run it, ConnectionFailed."""
        driver = self._connection.driver
        try:
            driver.complete(self._open(command, window))
        except asyncssh.ChannelOpenError as failure:
            raise self._refused(failure, window) from failure
        except (OSError, asyncssh.Error) as failure:
            raise ConnectionFailed(f"{driver.host} ended the session: {failure}") from failure

    def finish(self) -> Ended:
        """Drive it to its end. Raises ConnectionFailed when the connection breaks before."""
        self._connection.driver.wait_long(lambda: self._is_over)
        if self._ended is not None:
            return self._ended
        if not self._connection.is_open:
            why = self._connection.why_lost()
            raise ConnectionFailed(
                f"the connection to {self._connection.driver.host} was lost" + (f": {why}" if why else "")
            )
        return Ended(None)

    # --- inside the loop ---

    @property
    def is_running(self) -> bool:
        """Whether there is a command to be signalled."""
        return self._channel is not None

    @property
    def may_write(self) -> bool:
        """Whether the server takes more input now; when it does again, `writable` is called once."""
        return not self._writing_paused

    def write(self, data: bytes) -> None:
        """Input for the command; dropped once it has ended."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(data)

    def write_eof(self) -> None:
        """There is no more input."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write_eof()

    def send_signal(self, name: str) -> None:
        """Have the server send the command a signal, such as INT."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.send_signal(name)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size now."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.change_terminal_size(columns, rows)

    def resume(self) -> None:
        """The sinks take more again."""
        if self._channel is not None:
            self._channel.resume_reading()

    def hang_up(self) -> None:
        """End it from this side."""
        if self._channel is not None:
            self._channel.abort()

    # --- what asyncssh calls ---

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is there."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Output."""
        if not self._sinks[datatype].take(data) and not self._is_pausing:
            self._is_pausing = True
            self._connection.driver.loop.call_soon(self._pause)

    def eof_received(self) -> bool:
        """No more output; the status is still to come."""
        return True

    def exit_status_received(self, status: int) -> None:
        """It ended by itself."""
        self._ended = Ended(status)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002
        """A signal has ended it."""
        self._ended = Ended(None, signal)

    def pause_writing(self) -> None:
        """Enough input for now."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """More input is welcome."""
        self._writing_paused = False
        heard, self.writable = self.writable, None
        if heard is not None:
            heard()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the connection knows why
        """Everything has been delivered."""
        self._is_over = True
        self._channel = None
        self._connection.driver.wake()

    def _pause(self) -> None:
        """Not in the middle of a delivery: asyncssh gives the other side credit for all that it holds back, once the
        first piece of it is delivered, so that whatever was held back then would add up without an end.
        """
        self._is_pausing = False
        if self._channel is not None and any(sink.is_full for sink in self._sinks.values()):
            self._channel.pause_reading()

    async def _open(self, command: str | None, window: Window | None) -> None:
        terminal = () if window is None else (window.columns, window.rows)
        await self._connection.asyncssh.create_session(
            lambda: self,
            command=command,
            request_pty=window is not None,
            term_type=None if window is None else window.kind,
            term_size=terminal,
            encoding=None,
            window=_WINDOW_BYTES,
            send_env=None,
        )

    def _refused(self, failure: asyncssh.ChannelOpenError, window: Window | None) -> Exception:
        host = self._connection.driver.host
        if not self._connection.is_open:
            return ConnectionFailed(f"{host} ended the session: {self._connection.why_lost()}")
        if failure.code == asyncssh.OPEN_REQUEST_PTY_FAILED and window is not None:
            return Incompatible(f"{host} gives no terminal to this account")
        return PermissionRefused(f"{host} runs no commands for this account", 0, str(failure.reason))
