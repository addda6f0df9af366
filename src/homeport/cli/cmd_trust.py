"""`homeport trust`: which servers' keys are known, and renewing one on purpose.

One rule: nothing is sent to the server but what it takes to see its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable, put_json, put_table, say

if TYPE_CHECKING:
    from homeport.client.trust import FirstContact
    from homeport.client.url import RemoteUrl


@click.command(name="trust")
@click.argument("url", required=False)
@click.option("--list", "listing", is_flag=True, help="Show every server whose key is known.")
@click.option("--forget", is_flag=True, help="Forget the server's key; the next contact asks again.")
@options.connects
@options.as_json
def command(url: str | None, listing: bool, forget: bool, as_json: bool, how: options.How) -> None:
    """Trust the key that the server of URL shows now, instead of one known before.

    It is shown and asked about; with --fingerprint it must be that one, and nothing is asked.
    """
    from homeport.cli.connecting import Connector

    if listing:
        _list(as_json)
        return
    if url is None:
        raise click.UsageError("which server? Give its URL, or --list")
    place = Connector(how).remote_of(url)
    if forget:
        _forget(place, as_json)
    else:
        _trust(place, how, as_json)


def _list(as_json: bool) -> None:
    from homeport.cli.connecting import known_hosts

    known = known_hosts().all()
    if as_json:
        for server, fingerprint in known.items():
            put_json({"event": "known", "server": server, "fingerprint": fingerprint})
        put_json({"event": "summary", "known": len(known)})
    elif known:
        put_table(("SERVER", "KEY"), known.items())
    else:
        say("no server's key is known yet")


def _forget(place: RemoteUrl, as_json: bool) -> None:
    from homeport.cli.connecting import known_hosts

    was_known = known_hosts().forget(place.server)
    say(f"{printable(place.server)} {'is forgotten' if was_known else 'was not known'}")
    if as_json:
        put_json({"event": "summary", "server": place.server, "was_known": was_known})


def _trust(place: RemoteUrl, how: options.How, as_json: bool) -> None:
    from homeport.cli.connecting import known_hosts

    contact = _look(place, how)
    known = known_hosts()
    if contact is None:
        say(f"an authority vouches for the certificate of {printable(place.server)}; its key needs no keeping")
    elif known.fingerprint_of(place.server) == contact.fingerprint:
        say(f"{printable(place.server)} is trusted already")
    else:
        _judge(contact, known.fingerprint_of(place.server), how)
        known.remember(place.server, contact.fingerprint)
        say(f"{printable(place.server)} is trusted from now on")
    if as_json:
        put_json(
            {
                "event": "summary",
                "server": place.server,
                "fingerprint": None if contact is None else contact.fingerprint,
                "expires": contact.expires or None if contact is not None else None,
            }
        )


def _look(place: RemoteUrl, how: options.How) -> FirstContact | None:
    """The key that the server shows; None when an authority vouches for it."""
    from homeport.cli.connecting import ANONYMOUS
    from homeport.client import dial
    from homeport.client.errors import IdentityUnknown, LoginFailed
    from homeport.client.options import ConnectionOptions, Credentials
    from homeport.client.trust import KnownHosts, Trust

    seen: list[FirstContact] = []

    def remember(contact: FirstContact) -> bool:
        seen.append(contact)
        return False  # nothing more is said to this server

    nobody = Trust(KnownHosts(None), ask=remember)
    connection = ConnectionOptions(stall_timeout_s=how.timeout_s)
    try:
        dial.open_remote(place, Credentials(ANONYMOUS, ""), nobody, connection).close()
    except IdentityUnknown:
        return seen[0]
    except LoginFailed:
        pass
    return None


def _judge(contact: FirstContact, before: str | None, how: options.How) -> None:
    """Let the person or --fingerprint decide. Raises IdentityChanged, IdentityUnknown."""
    from homeport.cli.connecting import can_ask, show_contact
    from homeport.client.errors import IdentityChanged, IdentityUnknown
    from homeport.client.fingerprint import parse_fingerprint

    if how.fingerprint is not None:
        expected = parse_fingerprint(how.fingerprint)
        if expected != contact.fingerprint:
            sentence = f"{contact.server} shows another key than --fingerprint:\n  {contact.fingerprint}"
            raise IdentityChanged(sentence, expected, contact.fingerprint)
        return
    if not can_ask():
        raise IdentityUnknown(
            f"nobody is here to ask about the key of {contact.server}. "
            f"If this is the right one, add: --fingerprint {contact.as_its_server_shows}",
            contact.fingerprint,
        )
    show_contact(contact, before)
    if not click.confirm("Is this the right key, to be trusted from now on?", default=False, err=True):
        raise IdentityUnknown(f"{contact.server} was not trusted", contact.fingerprint)
