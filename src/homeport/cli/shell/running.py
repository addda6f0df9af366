"""Runs lines: the interactive loop, and scripts.

The rule: interactively an error is said and the shell goes on; a script stops at the first, with its exit status.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from homeport.cli.shell import looking, moving
from homeport.cli.shell.commands import ALIASES, COMMANDS
from homeport.cli.shell.table import Call, call_of, find
from homeport.cli.shell.words import Line, split
from homeport.cli.terminal import printable, say
from homeport.client.errors import ClientError

if TYPE_CHECKING:
    from homeport.cli.shell.prompting import Prompter
    from homeport.cli.shell.session import Session


def run_line(session: Session, text: str) -> None:
    """All commands of a line. Raises ClientError at the first that fails."""
    for line in split(text):
        if session.ended:
            return
        _run(session, line)


def _run(session: Session, line: Line) -> None:
    if line.local is not None:
        looking.run_here(session, line.local)
        return
    name = line.words[0].text
    command = find(COMMANDS, ALIASES.get(name, name))
    call = call_of(command, line)
    try:
        command.handler(session, call)
    finally:
        if command.name not in _LOOKING:
            session.forget_names()


_LOOKING = {"cd", "pwd", "ls", "cat", "stat", "hash", "df", "lcd", "lls", "lpwd", "jobs", "help", "quit", "get", "mget"}


def run_script(session: Session, lines: Iterable[str]) -> None:
    """Line by line, then wait for what is in the background. Raises what the first failure means."""
    for line in lines:
        run_line(session, line)
        if session.ended:
            break
    moving.wait(session, Call())


def run_interactively(session: Session, prompter: Prompter) -> None:
    """Until the person leaves. Ctrl-C ends what is being done or typed, Ctrl-D the shell."""
    while not session.ended:
        try:
            text = prompter.ask(session.prompt)
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
        attempt(session, text)
    prompter.close()
    _leave(session)


def attempt(session: Session, text: str) -> None:
    """A line; what goes wrong is said."""
    try:
        run_line(session, text)
    except ClientError as failure:
        for line in str(failure).split("\n"):
            say(printable(line))
    except KeyboardInterrupt:
        say("interrupted; what was transferred is kept")
    except click.exceptions.Exit:
        pass  # every failure was named when it happened
    except click.Abort:
        say("interrupted")


def _leave(session: Session) -> None:
    running = session.jobs.running()
    if not running:
        return
    say(f"waiting for {len(running)} transfer(s) in the background; Ctrl-C ends them, and keeps what they have")
    try:
        session.jobs.wait()
    except KeyboardInterrupt:
        session.jobs.stop()
