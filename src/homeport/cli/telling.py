"""`homeport put --tell ROOM`: what was stored is announced in the chat. One rule: the files are stored first, and what
goes wrong with the announcement is said and changes nothing about them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from homeport.cli.terminal import printable, say
from homeport.client.errors import ClientError, UsageError

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.client.url import RemoteUrl

_MOST = 5  # names in one announcement


def check(place: RemoteUrl) -> None:
    """Raises UsageError where nothing can be announced."""
    if place.scheme != "hp":
        raise UsageError(f"--tell needs the chat, which is HPTP's; write hp:// in place of {place.scheme}://")


def announce(connector: Connector, place: RemoteUrl, room: str, files: Sequence[Path]) -> None:
    """Say in `room` that the files were put at `place`."""
    from homeport.client.hptp.remote import HptpRemote

    said: dict[str, str] = {
        "op": "say",
        "room": room,
        "kind": "file",
        "text": text_of(files, place.path),
        "token": secrets.token_urlsafe(12),
    }
    try:
        remote = connector.dial(place)
        assert isinstance(remote, HptpRemote)
        try:
            remote.ask(f"tell {room}", "chat.do", do=dict(said))
        finally:
            remote.close()
    except ClientError as error:
        say(f"{printable(room)} was not told: {printable(str(error))}")


def text_of(files: Sequence[Path], path: str) -> str:
    """What is said: the names, and where they are."""
    names = [_plain(file.name) for file in files[:_MOST]]
    if len(files) > _MOST:
        names.append(f"{len(files) - _MOST} more")
    return f"{', '.join(names)} at {_plain(path)}"


def _plain(name: str) -> str:
    """A name that can stand in a message: without control characters and halves of surrogate pairs."""
    return printable(name)
