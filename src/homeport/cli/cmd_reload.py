"""`homeport reload`: new settings and certificates without an interruption."""

from __future__ import annotations

import click

from homeport.cli import options
from homeport.cli.terminal import put_json, say


@click.command(name="reload")
@options.directory
@options.as_json
def command(directory: str | None, as_json: bool) -> None:
    """Make the server read its settings and certificate again.

    Bad settings are refused, and the old ones stay. Transfers under way go on. Accounts need no reload.
    """
    from homeport.daemon.control_client import ask
    from homeport.daemon.instance import Instance

    done = ask(Instance.at(directory), "reload")
    if as_json:
        put_json(done)
        return
    say(f"applied: {', '.join(done['applied']) or 'nothing differs'}; certificate: read again")
    if done["needs_restart"]:
        say(f"needs a restart: {', '.join(done['needs_restart'])}")
