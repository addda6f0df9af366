"""`homeport logout`: forget a password that `login` kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable, put_json, say

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.client.url import RemoteUrl


@click.command(name="logout")
@click.argument("url")
@options.as_json
def command(url: str, as_json: bool) -> None:
    """Forget the password or token that was kept for the account and server of URL.

    A token of this device is revoked at the server; for a password no connection is made.
    """
    from homeport.cli.connecting import Connector, secret_store
    from homeport.client.secrets import account_of

    connector = Connector(options.How())
    place = connector.remote_of(url)
    account = account_of(place)
    what = "password"
    if place.scheme == "hp" and (kept := secret_store().get(account)) is not None:
        what = _revoke(connector, place, kept)
    was_kept = secret_store().forget(account)
    say(f"the {what} of {printable(account)} {'is forgotten' if was_kept else 'was not kept'}")
    if as_json:
        put_json({"event": "summary", "account": account, "was_kept": was_kept})


def _revoke(connector: Connector, place: RemoteUrl, kept: str) -> str:
    """Revoke the token with itself, and tell what was kept. That it cannot be is said, and hinders no forgetting."""
    from homeport.client.dial import open_remote
    from homeport.client.errors import ClientError
    from homeport.client.hptp.tokens import revoke_token
    from homeport.client.options import Credentials

    credentials = Credentials(connector.user_of(place), kept)
    try:
        remote = open_remote(place, credentials, connector.trust_for(place), connector.options_for(place))
        try:
            return "token" if revoke_token(remote, kept) else "password"
        finally:
            remote.close()
    except ClientError as failure:
        say(printable(f"this device's token could not be revoked and may still be good: {failure}"))
        return "token"
