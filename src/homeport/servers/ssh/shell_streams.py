"""Between a channel and its command: input in, output and errors out, signals and window sizes.

The one rule: bytes pass unchanged, and no faster than the slower side takes them; so memory is bounded by what a pipe
and a channel's window hold.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import asyncssh

from homeport.servers.sandbox.running import Ended, RunningCommand
from homeport.servers.sandbox.streams import Outlet
from homeport.servers.sandbox.terminals import Size

BLOCK_BYTES = 128 * 1024
GONE = "the client went away"
# RFC 4254, 6.10, and those that users of terminals expect; a client sends no others.
_SIGNALS = {
    name: signal.Signals[f"SIG{name}"]
    for name in (
        "ABRT", "ALRM", "CONT", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "STOP", "TERM", "TSTP",
        "USR1", "USR2",
    )
}  # fmt: skip

Process = asyncssh.SSHServerProcess[bytes]


class ShellStreams:
    """One channel and its command. `said` is told of output, and whether it may be passed on."""

    def __init__(self, process: Process, command: RunningCommand, said: Callable[[int], bool]) -> None:
        self._process = process
        self._command = command
        self._said = said
        self._ends_with_input = command.errors is not None  # a terminal's input has no end of its own

    async def run(self) -> Ended:
        """How the command ended, when all that it said has been passed on; a client that goes ends it."""
        # asyncssh queues signals and sizes between the bytes of the input, where a command that reads none would
        # never hear of them.
        self._process.exception_received = self._told  # type: ignore[method-assign]
        talking = [asyncio.ensure_future(self._drain(*pair)) for pair in self._outlets()]
        helping = [asyncio.ensure_future(self._feed()), asyncio.ensure_future(self._until_gone())]
        try:
            ended, *_ = await asyncio.gather(self._command.wait(), *talking)
            assert ended is not None
            return ended
        finally:
            for task in (*talking, *helping):
                task.cancel()
            await asyncio.gather(*talking, *helping, return_exceptions=True)

    def _outlets(self) -> list[tuple[Outlet, asyncssh.SSHWriter[bytes]]]:
        both = [(self._command.output, self._process.stdout)]
        if self._command.errors is not None:
            both.append((self._command.errors, self._process.stderr))
        return both

    async def _drain(self, outlet: Outlet, writer: asyncssh.SSHWriter[bytes]) -> None:
        while data := await outlet.read(BLOCK_BYTES):
            if not self._said(len(data)):
                return
            try:
                writer.write(data)
                await writer.drain()
            except (asyncssh.Error, OSError):
                self._command.kill(GONE)
                return

    async def _feed(self) -> None:
        """Pass the input on; what a command that reads no more is still sent is thrown away, as a broken pipe would."""
        while True:
            try:
                data = await self._process.stdin.read(BLOCK_BYTES)
            except (asyncssh.SignalReceived, asyncssh.BreakReceived, asyncssh.TerminalSizeChanged) as told:
                self._told(told)  # it came before `run` did
                continue
            except (asyncssh.Error, OSError):
                return
            if not data:
                break
            await self._command.input.write(data)
        if self._ends_with_input:
            self._command.input.close()

    async def _until_gone(self) -> None:
        await self._process.channel.wait_closed()
        self._command.kill(GONE)

    def _told(self, exc: Exception) -> None:
        if isinstance(exc, asyncssh.TerminalSizeChanged):
            self._command.resize(Size(exc.width, exc.height, exc.pixwidth, exc.pixheight))
        elif isinstance(exc, asyncssh.BreakReceived):
            self._command.signal(signal.SIGINT)
        elif isinstance(exc, asyncssh.SignalReceived) and exc.signal in _SIGNALS:
            self._command.signal(_SIGNALS[exc.signal])
