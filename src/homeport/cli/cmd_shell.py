"""`homeport shell`: an interactive session, or a script of the same commands."""

from __future__ import annotations

import sys

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import say


@click.command(name="shell")
@click.argument("url")
@click.option("--command", "-c", "script", metavar="COMMANDS", help="Run these, separated by ; and end.")
@options.transfers
def command(url: str, script: str | None, how: options.How, moving: options.Moving) -> None:
    """Work on the server of URL: cd, ls, get, put and more; `help` lists them, Tab completes.

    With -c, or with commands on standard input, it runs these, stops at the first error, and ends with its status.
    """
    from homeport.cli.connecting import Connector
    from homeport.cli.shell.background import Jobs
    from homeport.cli.shell.running import run_interactively, run_script
    from homeport.cli.shell.session import Session

    interactive = script is None and sys.stdin.isatty()
    connector = Connector(how)
    session = Session(connector, connector.remote_of(url), moving, Jobs(), interactive=interactive)
    try:
        session.begin()
        if script is not None:
            run_script(session, script.split("\n"))
        elif interactive:
            from homeport.cli.shell.prompting import Prompter

            say("`help` lists the commands; Tab completes; Ctrl-D leaves")
            run_interactively(session, Prompter(session))
        else:
            run_script(session, sys.stdin)
    finally:
        session.jobs.stop()
        session.disconnect()
