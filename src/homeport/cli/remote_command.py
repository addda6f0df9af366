"""A remote command between its connection and this process's streams, terminal and signals.

One rule: a signal meant for the command goes to the command; the second one ends the wait for it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeport.cli import exec_streams, raw_terminal
from homeport.cli.stopping import Terminated
from homeport.cli.terminal import printable, put_json, say
from homeport.client.errors import ConnectionFailed

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.client.ssh.command import Ended, Window
    from homeport.client.ssh.connection import SshConnection
    from homeport.client.url import RemoteUrl


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run: `line` for the server's shell (None: a shell), and what its output is like."""

    line: str | None
    terminal: bool
    charset: str | None
    as_json: bool


def run(connector: Connector, place: RemoteUrl, wish: Wish) -> int:
    """Run it to its end; the status to exit with. Raises ClientError, BrokenPipeError, KeyboardInterrupt."""
    connection = connector.dial_ssh(place)
    began = time.monotonic()
    try:
        running = _Running(connection, wish)
        ended = running.to_its_end()
        if wish.as_json:
            running.tell(ended, time.monotonic() - began)
        elif ended.signal is not None:
            say(f"the command was ended by the signal {printable(ended.signal)}")
        elif ended.status is None:
            say("the server did not tell how the command ended")
        return ended.code
    finally:
        connection.close()


class _Running:
    """One command with its streams."""

    def __init__(self, connection: SshConnection, wish: Wish) -> None:
        from homeport.client.ssh.command import RemoteCommand

        self._connection = connection
        self._wish = wish
        self._loop = connection.driver.loop
        self._outputs = [self._spout("stdout", 1), self._spout("stderr", 1 if wish.as_json else 2)]
        self._command = RemoteCommand(connection, *self._outputs)
        self._input = exec_streams.Feed(0, self._typed, self._call_soon)
        self._escapes = raw_terminal.Escapes() if wish.terminal else None
        self._was_interrupted = False
        self._reason: BaseException | None = None
        for output in self._outputs:
            output.freed = self._freed
            output.broken = self._command.hang_up

    def to_its_end(self) -> Ended:
        """Start it, and pass on whatever comes from either side."""
        with ExitStack() as stack:
            stack.enter_context(self._signals())  # first: the command may be there, and signalled, at any moment
            self._start()
            if self._wish.terminal:
                stack.enter_context(raw_terminal.raw(0))
            self._input.start()
            ended = self._wait()
        for output in self._outputs:
            output.finish()
        if self._reason is not None:
            raise self._reason
        return ended

    def _start(self) -> None:
        try:
            self._command.start(self._wish.line, self._window())
        except ConnectionFailed:
            if self._reason is not None:
                raise self._reason from None
            raise

    def tell(self, ended: Ended, seconds: float) -> None:
        """The summary for scripts."""
        out, err = self._outputs
        put_json(
            {
                "event": "summary",
                "status": ended.status,
                "signal": ended.signal,
                "stdout_bytes": out.taken_bytes,
                "stderr_bytes": err.taken_bytes,
                "seconds": round(seconds, 3),
            }
        )

    def _wait(self) -> Ended:
        try:
            return self._command.finish()
        finally:
            if self._reason is None and (self._escapes is not None and self._escapes.is_over):
                say("\rthe session was ended from this side")

    def _spout(self, stream: str, fd: int) -> exec_streams.Spout:
        charset = self._wish.charset
        if self._wish.as_json:
            shape = exec_streams.as_events(stream, charset or "utf-8")
        else:
            shape = exec_streams.unchanged if charset is None else exec_streams.decoded(charset)
        return exec_streams.Spout(fd, shape, self._call_soon)

    def _call_soon(self, call: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is over
            self._loop.call_soon_threadsafe(call)  # type: ignore[arg-type]

    def _window(self) -> Window | None:
        from homeport.client.ssh.command import Window

        return Window(raw_terminal.kind(), *raw_terminal.size()) if self._wish.terminal else None

    # --- inside the loop ---

    def _freed(self) -> None:
        self._command.resume()

    def _typed(self, data: bytes) -> bool:
        """Input from this side. True when the next piece may come."""
        if not data:
            self._command.write_eof()
            return False
        if self._escapes is not None:
            data = self._escapes.pass_on(data)
            if self._escapes.is_over:
                self._command.hang_up()
                return False
        self._command.write(data)
        if self._command.may_write:
            return True
        self._command.writable = self._input.go_on
        return False

    # --- signals ---

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Within, signals are the command's. Only the main thread hears any."""
        if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
            yield
            return
        handlers = {signal.SIGINT: self._interrupted, signal.SIGTERM: self._terminated}
        if self._wish.terminal:
            handlers[signal.SIGWINCH] = self._resized
        for number, handler in handlers.items():
            self._loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                self._loop.remove_signal_handler(number)

    def _interrupted(self) -> None:
        if self._was_interrupted or not self._command.is_running:
            self._end(KeyboardInterrupt())
            return
        self._was_interrupted = True
        self._command.send_signal("INT")

    def _terminated(self) -> None:
        self._command.send_signal("TERM")
        self._end(Terminated())

    def _end(self, reason: BaseException) -> None:
        self._reason = reason
        if self._command.is_running:
            self._command.hang_up()
        else:
            self._connection.interrupt()

    def _resized(self) -> None:
        self._command.resize(*raw_terminal.size())
