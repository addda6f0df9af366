"""`homeport chat`: talk with the people who share files on a server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.client.hptp.remote import HptpRemote
    from homeport.client.url import RemoteUrl


@click.command(name="chat")
@click.argument("url", metavar="hp://NAME@HOST")
@click.argument("room", metavar="[ROOM]", required=False)
@click.option("--no-udp", is_flag=True, help="Do not try UDP; everything goes over HPTP.")
@options.connects_by_hptp
@click.option("--json", "as_json", is_flag=True, help="Print and read JSON, one object a line.")
def command(url: str, room: str | None, no_udp: bool, as_json: bool, how: options.How) -> None:
    """Talk in ROOM, or to one person as @NAME. /help lists the commands, Tab completes names, Ctrl-D leaves.

    Without a terminal it reads lines and prints lines. With --json it prints one object for each thing that happens
    and reads also objects such as {"room": "lobby", "text": "hello"}: that is how bots talk.
    """
    import asyncio

    from homeport.cli.connecting import Connector
    from homeport.cli.stopping import sigterm_raises
    from homeport.client.chat.client import ChatClient

    connector = Connector(how)
    place = connector.remote_of(url)
    dial = dialer(connector, place)

    async def talk() -> None:
        async with ChatClient(dial, place.host, udp=not no_udp) as chat:
            if as_json or not sys.stdin.isatty():
                from homeport.cli.chat.script import Script

                await Script(chat, as_json=as_json).run(room)
            else:
                from homeport.cli.chat.screen import Screen

                await Screen(chat).run(room)

    with sigterm_raises():
        asyncio.run(talk())


def dialer(connector: Connector, place: RemoteUrl) -> Callable[[], HptpRemote]:
    """Connections for the chat. The first one is made here, where questions can be asked. Raises ClientError."""
    from homeport.client.errors import UsageError
    from homeport.client.hptp.remote import HptpRemote

    if place.scheme != "hp":
        raise UsageError(f"the chat needs HPTP; write hp://NAME@{place.host} in place of {place.scheme}://")
    first = [connector.dial(place)]

    def dial() -> HptpRemote:
        remote = first.pop() if first else connector.dial(place)
        assert isinstance(remote, HptpRemote)
        return remote

    return dial
