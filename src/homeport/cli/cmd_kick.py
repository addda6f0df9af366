"""`homeport kick`: ends sessions of a running server."""

from __future__ import annotations

import click

from homeport.cli import options
from homeport.cli.terminal import printable, put_json, say


@click.command(name="kick")
@click.argument("target", metavar="SESSION-OR-NAME")
@options.directory
@options.as_json
def command(target: str, directory: str | None, as_json: bool) -> None:
    """End one session, as `who` numbers them, or all sessions of an account.

    An upload that is cut keeps what came, and can be resumed. To keep the account out, use `user disable`.
    """
    from homeport.daemon.control_client import ask
    from homeport.daemon.instance import Instance

    kicked = ask(Instance.at(directory), "kick", {"target": target})["kicked"]
    if as_json:
        put_json({"target": target, "kicked": kicked})
    else:
        say(f"ended {kicked} session{'' if kicked == 1 else 's'} of {printable(target)}")
