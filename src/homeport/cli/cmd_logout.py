"""`homeport logout`: forget a password that `login` kept."""

from __future__ import annotations

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable, put_json, say


@click.command(name="logout")
@click.argument("url")
@options.as_json
def command(url: str, as_json: bool) -> None:
    """Forget the password kept for the account and server of URL. No connection is made."""
    from homeport.cli.connecting import Connector, secret_store
    from homeport.client.secrets import account_of

    account = account_of(Connector(options.How()).remote_of(url))
    was_kept = secret_store().forget(account)
    say(f"the password of {printable(account)} {'is forgotten' if was_kept else 'was not kept'}")
    if as_json:
        put_json({"event": "summary", "account": account, "was_kept": was_kept})
