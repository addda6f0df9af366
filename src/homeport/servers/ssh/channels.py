"""What a channel turns out to be: SFTP, scp, or a command.

The one rule: a channel is one of these from its first request on, and everything that asyncssh says is passed to that
one. Nothing else is opened: no agent, no X11, no terminal for an account that may run no commands.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import asyncssh

from homeport.servers.ssh.commands import run_process
from homeport.servers.ssh.scp import run_scp
from homeport.servers.ssh.session import SshSession
from homeport.servers.ssh.sftp import SftpChannel

_SFTP_VERSION = 3
_SCP = "scp "

Process = asyncssh.SSHServerProcess[bytes]


class SessionChannel(asyncssh.SSHServerSession[bytes]):
    """A channel that has not been asked for anything yet. `gone` is called once, at its end."""

    def __init__(self, session: SshSession, gone: Callable[[SessionChannel], None]) -> None:
        self._session = session
        self._gone = gone
        self._inner: asyncssh.SSHServerSession[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """See SSHServerSession."""
        self._channel = chan

    # What it is to be

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:  # noqa: ARG002
        """See SSHServerSession."""
        return self._session.account.allow_exec

    def shell_requested(self) -> bool:
        """See SSHServerSession."""
        return self._become(self._process(), lambda inner: inner.shell_requested())

    def exec_requested(self, command: str) -> bool:
        """See SSHServerSession."""
        if command.startswith(_SCP):
            inner = Process(lambda process: run_scp(process, self._session), None, _SFTP_VERSION, allow_scp=False)
            return self._become(inner, lambda inner: inner.exec_requested(command))
        return self._become(self._process(), lambda inner: inner.exec_requested(command))

    def subsystem_requested(self, subsystem: str) -> bool:
        """See SSHServerSession."""
        return subsystem == "sftp" and self._become(SftpChannel(self._session), lambda _: True)

    def _become(
        self,
        inner: asyncssh.SSHServerSession[bytes],
        ask: Callable[[asyncssh.SSHServerSession[bytes]], bool],
    ) -> bool:
        inner.connection_made(self._channel)
        self._inner = inner
        return ask(inner)

    def _process(self) -> Process:
        return Process(self._run, None, _SFTP_VERSION, allow_scp=False)

    def _run(self, process: Process) -> Coroutine[Any, Any, None]:
        return run_process(process, self._session)

    # What is passed on

    def session_started(self) -> None:
        """See SSHServerSession."""
        if self._inner is not None:
            self._inner.session_started()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """See SSHServerSession."""
        if self._inner is not None:
            self._inner.data_received(data, datatype)

    def eof_received(self) -> bool:
        """See SSHServerSession."""
        return self._inner is not None and bool(self._inner.eof_received())

    def pause_writing(self) -> None:
        """See SSHServerSession."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See SSHServerSession."""
        if self._inner is not None:
            self._inner.resume_writing()

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """See SSHServerSession."""
        if self._inner is not None:
            self._inner.terminal_size_changed(width, height, pixwidth, pixheight)

    def signal_received(self, signal: str) -> None:
        """See SSHServerSession."""
        if self._inner is not None:
            self._inner.signal_received(signal)

    def break_received(self, msec: int) -> bool:
        """See SSHServerSession."""
        return self._inner is not None and self._inner.break_received(msec)

    def connection_lost(self, exc: Exception | None) -> None:
        """See SSHServerSession."""
        self._gone(self)
        if self._inner is not None:
            self._inner.connection_lost(exc)
