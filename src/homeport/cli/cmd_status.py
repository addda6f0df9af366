"""`homeport status`: whether the server runs, and where it really listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeport.cli import options
from homeport.cli.terminal import put, put_json
from homeport.daemon.errors import NotRunning

if TYPE_CHECKING:
    from homeport.daemon.instance import Instance
    from homeport.daemon.wire import Message


@click.command(name="status")
@options.directory
@options.as_json
@click.option(
    "--wait",
    "wait_s",
    metavar="TIME",
    callback=options.parsed(options.parse_duration),
    help="Wait so long for the server to be ready, such as 10 or 1m.",
)
def command(directory: str | None, as_json: bool, wait_s: float | None) -> None:
    """Show whether the server runs, and where it listens. The exit status is 1 when it does not."""
    from homeport.daemon.instance import Instance

    instance = Instance.at(directory)
    try:
        status = _status(instance, wait_s)
    except NotRunning as error:
        if not as_json:
            raise
        put_json({"state": "stopped", "directory": error.directory})
        raise click.exceptions.Exit(1) from None
    if as_json:
        put_json(status)
    else:
        _show(status)


def _status(instance: Instance, wait_s: float | None) -> Message:
    from homeport.daemon.control_client import ask, wait_until_ready

    return ask(instance, "status") if wait_s is None else wait_until_ready(instance, wait_s)


def _show(status: Message) -> None:
    put(f"{status['state']}: process {status['pid']}, version {status['version']}, {status['directory']}")
    put(f"{status['workers']} worker(s), {status['sessions']} session(s)")
    for name, service in status["services"].items():
        put(f"{name}: {', '.join(service['listen'])}")
