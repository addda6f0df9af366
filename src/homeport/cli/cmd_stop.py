"""`homeport stop`: ends the server and waits until it is gone."""

from __future__ import annotations

import click

from homeport.cli import options
from homeport.cli.terminal import put_json, say
from homeport.daemon.errors import NotRunning


@click.command(name="stop")
@options.directory
@options.as_json
@click.option("--now", "at_once", is_flag=True, help="Cut transfers instead of letting them finish.")
def command(directory: str | None, as_json: bool, at_once: bool) -> None:
    """Stop the server and wait until it is gone. Transfers may finish within drain_timeout_s."""
    from homeport.daemon.control_client import ask
    from homeport.daemon.instance import Instance

    instance = Instance.at(directory)
    try:
        pid = ask(instance, "stop", {"now": at_once})["pid"]
    except NotRunning:
        pid = None
    if pid is not None:
        instance.wait_until_free()
    if as_json:
        put_json({"state": "stopped", "pid": pid})
    else:
        say(f"stopped (process {pid})" if pid is not None else f"no server is running on {instance.directory}")
