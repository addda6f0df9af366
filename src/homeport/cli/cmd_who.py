"""`homeport who`: the sessions of a running server."""

from __future__ import annotations

import time

import click

from homeport.cli import options
from homeport.cli.terminal import put_json, put_table, say


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


def _row(session: dict[str, object], now: float) -> tuple[str, ...]:
    since = session["since"]
    assert isinstance(since, int | float)
    shown = (session[name] for name in ("id", "name", "protocol", "peer"))
    return (*(str(cell or "-") for cell in shown), duration(now - since), str(session.get("doing") or "idle"))


def duration(seconds: float) -> str:
    """Seconds for reading: two units, such as `2h 5m`."""
    whole = max(0, int(seconds))
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2])
