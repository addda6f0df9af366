"""`homeport room`: the chat's rooms and who may do what in them. Works with the server up or down, effective within
seconds.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from homeport.cli import options
from homeport.cli.lazy import SuggestingGroup
from homeport.cli.terminal import printable, put_json, put_table, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from homeport.core.chat_names import ChatRights
    from homeport.core.chat_rooms import ChatRooms, Decision

_room_option = click.option("--room", metavar="ROOM", help="In this room alone; without it everywhere.")
_for_option = click.option(
    "--for",
    "duration_s",
    metavar="TIME",
    callback=options.parsed(options.parse_duration),
    help="How long, such as 2h; without it until it is changed.",
)


@click.group(name="room", cls=SuggestingGroup)
def command() -> None:
    """The chat's rooms: list, add and remove them; silence accounts, keep them out, say who may do what."""


@contextmanager
def _rooms(directory: str | None) -> Iterator[ChatRooms]:
    from homeport.cli.opening import services_of
    from homeport.core.chat_rooms import ChatRooms
    from homeport.daemon.chat_service import chat_limits

    with services_of(directory) as services:
        yield ChatRooms(services.database, chat_limits(services.settings.chat))


@command.command(name="list")
@options.directory
@options.as_json
def list_(directory: str | None, as_json: bool) -> None:
    """Show the rooms, and how much was said in them."""
    with _rooms(directory) as rooms:
        found = rooms.all()
    if as_json:
        for room in found:
            put_json({"room": room.name, "open": room.open, "messages": room.last_id})
    elif not found:
        say("there is no room")
    else:
        rows = [(room.name, "everybody" if room.open else "guests", str(room.last_id)) for room in found]
        put_table(("ROOM", "OPEN TO", "MESSAGES"), rows)


@command.command()
@click.argument("name", metavar="ROOM")
@click.option("--closed", is_flag=True, help="Only for accounts to which `room rights --room ROOM` gives rights.")
@options.directory
@options.as_json
def add(name: str, closed: bool, directory: str | None, as_json: bool) -> None:
    """Make a room."""
    with _rooms(directory) as rooms:
        room = rooms.make(name, open_to_all=not closed)
    put_json({"room": room.name, "open": room.open}) if as_json else say(f"made the room {printable(room.name)}")


@command.command()
@click.argument("name", metavar="ROOM")
@options.yes
@options.directory
@options.as_json
def remove(name: str, yes: bool, directory: str | None, as_json: bool) -> None:
    """Remove a room with everything that was said in it."""
    if not yes:
        click.confirm(f"Remove {printable(name)} and everything that was said in it?", abort=True, err=True)
    with _rooms(directory) as rooms:
        room = rooms.remove(name)
    if as_json:
        put_json({"room": room.name, "messages": room.last_id})
    else:
        say(f"removed {printable(room.name)} with {room.last_id} messages")


@command.command()
@click.argument("account")
@_room_option
@_for_option
@options.directory
@options.as_json
def silence(account: str, room: str | None, duration_s: float | None, directory: str | None, as_json: bool) -> None:
    """Let an account read and not talk."""
    from homeport.core.chat_names import ChatRights

    _decide(directory, account, ChatRights.READ, room, duration_s, as_json=as_json)


@command.command(name="keep-out")
@click.argument("account")
@_room_option
@_for_option
@options.directory
@options.as_json
def keep_out(account: str, room: str | None, duration_s: float | None, directory: str | None, as_json: bool) -> None:
    """Let an account neither read nor talk."""
    from homeport.core.chat_names import ChatRights

    _decide(directory, account, ChatRights.NONE, room, duration_s, as_json=as_json)


@command.command()
@click.argument("account", required=False)
@click.argument("what", metavar="[RIGHTS]", required=False)
@_room_option
@_for_option
@options.directory
@options.as_json
def rights(
    account: str | None,
    what: str | None,
    room: str | None,
    duration_s: float | None,
    directory: str | None,
    as_json: bool,
) -> None:
    """Show what was decided, or decide what ACCOUNT may do.

    RIGHTS are read, talk and make (rooms), with commas between, or all, or none; default takes a decision back.
    """
    from homeport.core.chat_names import ChatRights

    if account is None:
        _show_decisions(directory, as_json=as_json)
        return
    if what is None:
        raise click.UsageError("which rights? write such as read,talk, or all, none, default")
    try:
        wanted = None if what == "default" else ChatRights.parse(what)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _decide(directory, account, wanted, room, duration_s, as_json=as_json)


def _decide(
    directory: str | None,
    account: str,
    wanted: ChatRights | None,
    room: str | None,
    duration_s: float | None,
    *,
    as_json: bool,
) -> None:
    with _rooms(directory) as rooms:
        decision = rooms.decide(account, wanted, room=room, seconds=duration_s)
    if as_json:
        put_json(_object(decision))
    else:
        where = "everywhere" if decision.room is None else f"in {printable(decision.room)}"
        say(f"the rights of {printable(decision.account)} {where}, until {_moment(decision.until)}: {decision.rights}")


def _show_decisions(directory: str | None, *, as_json: bool) -> None:
    with _rooms(directory) as rooms:
        decisions = rooms.decisions()
    if as_json:
        for decision in decisions:
            put_json(_object(decision))
    elif not decisions:
        say("nothing was decided; everybody may do what chat.rights says")
    else:
        rows = [(one.account, one.room or "everywhere", str(one.rights), _moment(one.until)) for one in decisions]
        put_table(("ACCOUNT", "ROOM", "RIGHTS", "UNTIL"), rows)


def _object(decision: Decision) -> dict[str, object]:
    return {
        "account": decision.account,
        "room": decision.room,
        "rights": str(decision.rights),
        "until": decision.until,
    }


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "it is changed"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
