"""`homeport ban`: who is kept out. The bans are in the database, so a running server obeys at the next login."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click

from homeport.cli import options
from homeport.cli.lazy import SuggestingGroup
from homeport.cli.terminal import printable, put_json, put_table, say


@click.group(name="ban", cls=SuggestingGroup)
def command() -> None:
    """List, add and remove bans; with the server up or down, effective at the next login."""


@command.command(name="list")
@options.directory
@options.as_json
def list_(directory: str | None, as_json: bool) -> None:
    """Show who is kept out, why, and until when."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        bans = services.guard.bans()
    if as_json:
        for ban in bans:
            put_json(asdict(ban))
    elif not bans:
        say("nobody is banned")
    else:
        rows = [(ban.kind, ban.subject, _moment(ban.until), ban.reason) for ban in bans]
        put_table(("KIND", "SUBJECT", "UNTIL", "REASON"), rows)


@command.command()
@click.argument("address")
@click.option("--name", metavar="NAME", help="Ban this account name from the address alone.")
@click.option(
    "--for",
    "duration_s",
    metavar="TIME",
    callback=options.parsed(options.parse_duration),
    help="How long, such as 2h; without it until it is removed.",
)
@click.option("--reason", default="by the administrator", show_default=True, help="What `ban list` shows.")
@options.directory
@options.as_json
def add(
    address: str, name: str | None, duration_s: float | None, reason: str, directory: str | None, as_json: bool
) -> None:
    """Keep an address out (IPv6: its /64). Sessions that are open go on; `kick` ends them."""
    from homeport.cli.opening import services_of
    from homeport.core.audit_events import BanSet, Who

    kind_and_subject = ("address", address) if name is None else ("pair", f"{name} {address}")
    with services_of(directory) as services:
        try:
            ban = services.guard.ban(*kind_and_subject, reason, duration_s)
        except ValueError as error:
            raise click.UsageError(f"{address!r} cannot be banned: {error}") from error
        services.audit.write(BanSet(Who(), ban.kind, ban.subject, reason, duration_s))
    if as_json:
        put_json(asdict(ban))
    else:
        say(f"banned {printable(ban.subject)} until {_moment(ban.until)}")


@command.command()
@click.argument("subject", metavar="ADDRESS")
@options.directory
@options.as_json
def remove(subject: str, directory: str | None, as_json: bool) -> None:
    """End the bans of an address or a name, and forget the failures that they came from."""
    from homeport.cli.opening import services_of
    from homeport.core.audit_events import BanLifted, Who

    with services_of(directory) as services:
        was_banned = services.guard.unban(subject)
        if was_banned:
            services.audit.write(BanLifted(Who(), subject))
    if as_json:
        put_json({"subject": subject, "was_banned": was_banned})
    else:
        say(f"{printable(subject)} is welcome again" if was_banned else f"{printable(subject)} was not banned")


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "it is removed"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
