"""`homeport login`: keep a password, once it was seen to work."""

from __future__ import annotations

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable, put_json, say


@click.command(name="login")
@click.argument("url")
@options.connects
@options.as_json
def command(url: str, as_json: bool, how: options.How) -> None:
    """Log in to the server of URL, and keep the password for later commands; over hp:// a token of this device in its
    place, which the server can revoke.

    It goes to this system's keyring; where there is none, into a file that only your account can read.
    """
    from homeport.cli.connecting import Connector, secret_store
    from homeport.client.errors import UsageError
    from homeport.client.hptp.tokens import make_token
    from homeport.client.secrets import account_of

    connector = Connector(how)
    place = connector.remote_of(url)
    if place.user is None:
        raise UsageError(f"{url!r} names nobody; write it as {place.scheme}://NAME@HOST/")
    remote = connector.dial(place, fresh=True)
    try:
        token = make_token(remote)
    finally:
        remote.close()
    if token is None:
        said = secret_store().keep(account_of(place), connector.password_of(place))
    else:
        said = secret_store().keep(account_of(place), token.kept(), what="a token of this device")
    say(f"logged in as {printable(place.user)}; {printable(said)}")
    if as_json:
        put_json({"event": "summary", "account": account_of(place), "kept": said})
