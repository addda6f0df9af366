"""`homeport who`: the sessions of a running server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from homeport.cli import options
from homeport.cli.terminal import put_json, put_table, say

if TYPE_CHECKING:
    from homeport.daemon.wire import Message


@click.command(name="who")
@options.directory
@options.as_json
def command(directory: str | None, as_json: bool) -> None:
    """Show who is connected, doing what."""
    from homeport.daemon.control_client import ask
    from homeport.daemon.instance import Instance

    sessions = ask(Instance.at(directory), "who")["sessions"]
    sessions.sort(key=lambda session: session["since"])
    if as_json:
        for session in sessions:
            put_json(session)
    elif not sessions:
        say("nobody is connected")
    else:
        now = time.time()
        put_table(HEAD, [_row(session, now) for session in sessions])


HEAD = ("SESSION", "ACCOUNT", "PROTOCOL", "FROM", "FOR", "DOING")


def _row(session: Message, now: float) -> tuple[str, ...]:
    shown = (session[name] for name in ("id", "account", "protocol", "peer"))
    return (*(str(cell or "-") for cell in shown), duration(now - session["since"]), _doing(session))


def _doing(session: Message) -> str:
    from homeport.config.units import human_size

    if session["path"] is None:
        return str(session["doing"])
    total = session["total_bytes"]
    moved = human_size(session["moved_bytes"]) + (f" of {human_size(total)}" if total is not None else "")
    return f"{session['doing']} {session['path']}, {moved}"


def duration(seconds: float) -> str:
    """Seconds for reading: two units, such as `2h 5m`."""
    whole = max(0, int(seconds))
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2])
