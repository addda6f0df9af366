"""`homeport user token`: the device tokens that let an account's devices in through HPTP, with the server up or down.

One rule: an administrator sees and ends them; who makes one is the account's owner, who alone may see its secret.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from homeport.cli import options
from homeport.cli.lazy import SuggestingGroup
from homeport.cli.terminal import printable, put_json, put_table, say

if TYPE_CHECKING:
    from homeport.core.tokens import DeviceToken


@click.group(name="token", cls=SuggestingGroup)
def command() -> None:
    """Tokens that let single devices in through HPTP.

    `homeport login hp://...` makes one, which stands in for the password on that device.
    """


@command.command(name="list")
@click.argument("name")
@options.directory
@options.as_json
def list_(name: str, directory: str | None, as_json: bool) -> None:
    """Show an account's tokens."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        tokens = services.proofs.tokens.of(services.accounts.get(name))
    if as_json:
        for token in tokens:
            put_json(as_object(token))
    elif not tokens:
        say(f"{printable(name)} has no token; `homeport login hp://{printable(name)}@HOST` makes one")
    else:
        put_table(("ID", "DEVICE", "MADE", "USED"), [_row(token) for token in tokens])


@command.command()
@click.argument("name")
@click.argument("token")
@options.directory
@options.as_json
def revoke(name: str, token: str, directory: str | None, as_json: bool) -> None:
    """End a token, named by its ID. Sessions under way go on; `homeport kick` ends them."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        account = services.accounts.get(name)
        revoked = services.proofs.tokens.revoke(account, token)
    if as_json:
        put_json({"event": "revoked", "account": account.name} | as_object(revoked))
    else:
        say(f"revoked {revoked.id} ({printable(revoked.label)}) of {printable(account.name)}")


def as_object(token: DeviceToken) -> dict[str, object]:
    """A token as `--json` shows it; times in ISO 8601, null for never."""
    used = None if token.used_at is None else _time(token.used_at)
    return {"id": token.id, "device": token.label, "created_at": _time(token.created_at), "used_at": used}


def _row(token: DeviceToken) -> tuple[str, ...]:
    used = "never" if token.used_at is None else _time(token.used_at)
    return (token.id, printable(token.label), _time(token.created_at), used)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
