"""A request for a command or a shell, from the question whether it may be run to the line in the audit log.

The one rule: every request leaves a line, refused or run, and what it wrote is counted before the next is told of an
exact quota. The end of the connection ends the command; the counting goes on without it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import asyncssh

from homeport.config.units import human_size
from homeport.core.audit_events import CommandBegun, CommandEnded, Refused
from homeport.core.errors import HomeportError
from homeport.core.home import Home
from homeport.core.rights import Rights
from homeport.servers.sandbox import view
from homeport.servers.sandbox.bubblewrap import Confiner, SandboxUnavailable
from homeport.servers.sandbox.environment import environment
from homeport.servers.sandbox.launch import Order
from homeport.servers.sandbox.metering import Meter
from homeport.servers.sandbox.named import Asking, Chosen, CommandRefused, choose
from homeport.servers.sandbox.running import Ended, RunningCommand
from homeport.servers.sandbox.sandbox import Sandbox, TooManyCommands, shared
from homeport.servers.sandbox.settings import CommandSettings
from homeport.servers.sandbox.terminals import Size, Terminal
from homeport.servers.sandbox.view import View
from homeport.servers.sandbox.watching import Watch
from homeport.servers.ssh.session import SshSession
from homeport.servers.ssh.shell_streams import Process, ShellStreams

FAILED = 255  # what OpenSSH's client says when it was not the command that failed
_LOGGED_LENGTH = 4096
_SHOWN_LENGTH = 120
_COUNTING_PATIENCE_S = 1.0  # a large home is counted on when the client has been told the status
_DEED = "exec"

_log = logging.getLogger(__name__)


async def run_process(process: Process, session: SshSession) -> None:
    """Run what the channel asked for, and end the channel with its status."""
    settings = session.settings.commands
    sandbox = shared(settings.scratch, settings.path)
    await sandbox.see_through(_Request(process, session, settings, sandbox).serve())


async def commands_ended(settings: CommandSettings, within_s: float) -> None:
    """Wait until what was killed is gone and counted, while the server goes down."""
    with suppress(TimeoutError):
        await asyncio.wait_for(shared(settings.scratch, settings.path).idle(), within_s)


class _Request:
    def __init__(self, process: Process, session: SshSession, settings: CommandSettings, sandbox: Sandbox) -> None:
        self._process = process
        self._session = session
        self._settings = settings
        self._sandbox = sandbox

    async def serve(self) -> None:
        """Never raises."""
        try:
            await self._run(self._choose())
        except (CommandRefused, TooManyCommands, SandboxUnavailable, HomeportError) as error:
            self._refuse(str(error))
        except Exception:  # noqa: BLE001 - logged; one command's failure must not end the connection
            _log.exception("a remote command could not be served")
            self._refuse("the server failed; the administrator finds the reason in its log")

    def _choose(self) -> Chosen:
        account = self._session.account
        if not self._settings.enabled:
            raise CommandRefused("remote commands are switched off on this server")
        inside = f"/home/{account.name}"
        asking = Asking(account.name, account.allow_exec, view.shell(), inside)
        return choose(self._process.command, asking, self._settings.named, network=self._settings.network)

    async def _run(self, chosen: Chosen) -> None:
        session = self._session
        async with AsyncExitStack() as cleanup:
            # Its own: the session's is closed with the connection, and the counting comes after that.
            home = await session.core.files.run(session.core.open_home, session.account, session.record)
            cleanup.push_async_callback(session.core.files.run, home.close)
            meter = await self._sandbox.metered(lambda: self._meter(home))
            began = time.monotonic()
            with self._sandbox.place(home.account.id, self._settings.limits.commands_per_account):
                command = await self._sandbox.start(lambda confiner: self._order(confiner, chosen, home, meter))
                session.audit(CommandBegun(session.who, _logged(chosen)))
                session.record.begin(_DEED, _logged(chosen)[:_SHOWN_LENGTH])
                watch = Watch(command, meter, self._settings.limits, _still_allowed(home, chosen))
                ended = await self._attend(command, watch)
            counting = asyncio.ensure_future(self._sandbox.metered(meter.settle))
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(counting), _COUNTING_PATIENCE_S)
            seconds, reason = round(time.monotonic() - began, 3), self._reason(ended)
            session.audit(CommandEnded(session.who, _logged(chosen), ended.status, watch.output_bytes, seconds, reason))
            session.record.rest()
            self._tell(ended.status, reason)
            await counting

    def _meter(self, home: Home) -> Meter:
        real = os.path.realpath(home.account.home)
        if any(Path(os.path.realpath(folder)).is_relative_to(real) for folder in self._settings.private):
            raise CommandRefused("this account's home holds the server's own files, so it cannot run commands")
        if not home.account.rights.allows(Rights.READ_ONLY):
            raise CommandRefused("this account may not read its home, so it cannot run commands")
        return Meter(home.outside, self._settings.limits)

    def _order(self, confiner: Confiner, chosen: Chosen, home: Home, meter: Meter) -> Order:
        process, settings, name = self._process, self._settings, home.account.name
        seen = View(
            name=name,
            home=home.account.home,
            writable=home.account.rights.allows(Rights.ALL),
            network=chosen.network,
            folders=settings.folders,
            private=settings.private,
            devices=confiner.devices,
            tmp_bytes=settings.limits.tmp_bytes,
        )
        has_terminal = process.term_type is not None
        return Order(
            argv=chosen.argv,
            environment=environment(name, seen.inside, view.shell(), process.env, process.term_type),
            view=seen,
            limits=settings.limits,
            terminal=Terminal(Size(*process.term_size), process.term_modes) if has_terminal else None,
            file_bytes=meter.file_bytes(),
        )

    async def _attend(self, command: RunningCommand, watch: Watch) -> Ended:
        """Everything from the command's first byte to the end of its last process."""
        forget = self._session.on_close(lambda: command.kill("the connection has ended"))
        watching = asyncio.ensure_future(watch.keep(self._sandbox))
        try:
            return await ShellStreams(self._process, command, watch.said).run()
        finally:
            command.kill("the server failed")  # does nothing after the end
            forget()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            command.close()

    def _reason(self, ended: Ended) -> str | None:
        """What the command cannot have said itself of its end."""
        if ended.reason is None and ended.out_of_memory:
            return f"the memory of {human_size(self._settings.limits.memory_bytes)} was used up"
        return ended.reason

    def _tell(self, status: int, reason: str | None) -> None:
        with suppress(asyncssh.Error, OSError):
            if reason is not None:
                self._process.stderr.write(f"homeport: stopped: {reason}\n".encode())
            self._process.exit(status)

    def _refuse(self, reason: str) -> None:
        session = self._session
        session.audit(Refused(session.who, _DEED, (self._process.command or "")[:_LOGGED_LENGTH], reason))
        with suppress(asyncssh.Error, OSError):
            self._process.stderr.write(f"homeport: {reason}\n".encode("utf-8", "backslashreplace"))
            self._process.exit(FAILED)


def _still_allowed(home: Home, chosen: Chosen) -> Callable[[], bool]:
    """Whether the account could still ask for it: what it sees of the home depends on its rights, too."""
    rights = home.account.rights
    return lambda: home.account.rights == rights and (chosen.named or home.account.allow_exec)


def _logged(chosen: Chosen) -> str:
    return shlex.join(chosen.argv)[:_LOGGED_LENGTH]
