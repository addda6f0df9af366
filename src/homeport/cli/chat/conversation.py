"""A person in the chat: which room is in front, what is unread elsewhere, and what each typed line means.

The one rule: what the server refuses is a notice and ends nothing; only /quit does, or a login that no longer works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from homeport.cli.chat.lines import Line, mentions, notice, said_lines
from homeport.client.chat.client import ChatClient, Connected, Disconnected, News
from homeport.client.chat.core import Presence, Said
from homeport.client.errors import ServerRefused

_HISTORY = 20
_DIRECT = "@"


class Quit(Exception):
    """The person has had enough."""


@dataclass(frozen=True, slots=True)
class Command:
    """What follows the name in the help, a sentence, and what it does with the rest of the line."""

    words: str
    help: str
    run: Callable[[Conversation, str], Awaitable[None]]


class Conversation:
    """`write` shows lines."""

    def __init__(self, chat: ChatClient, write: Callable[[Iterable[Line]], None]) -> None:
        self.chat = chat
        self.room = ""
        self.unread: Counter[str] = Counter()
        self.mentioned: set[str] = set()
        self.names: set[str] = set()
        self.known_rooms: set[str] = set()
        self._write = write

    @property
    def own_name(self) -> str:
        return self.chat.account

    async def enter(self, room: str | None) -> None:
        """Begin: in a room, or with the list of those there are."""
        rooms = await self.chat.rooms()
        self._note_rooms(rooms)
        for told in rooms:
            behind = _number(told, "last_id") - _number(told, "read_id")
            if told.get("member") is True and behind > 0:
                self.unread[str(told["room"])] = behind
        if room is not None:
            await self.go_to(room, make=True)
        elif not rooms:
            self.tell("there is no room yet; /join NAME makes one, /help lists the commands")
        else:
            await self.list_rooms("")

    async def type(self, line: str) -> None:
        """A line was typed. Raises Quit."""
        try:
            if line.startswith("/") and not line.startswith("//"):
                await self._command(line[1:])
            elif line.strip():
                await self.say(line.removeprefix("/") if line.startswith("//") else line)
        except ServerRefused as error:
            self.tell(str(error.reply or error))

    async def say(self, text: str, kind: str = "say") -> None:
        """Say something in the room in front."""
        if not self.room:
            self.tell("you are in no room; /join NAME goes into one, /rooms lists them")
            return
        await self.chat.say(self.room, text, kind=kind)

    def hear(self, news: News) -> None:
        """Something has happened."""
        match news:
            case Said():
                self._hear_said(news)
            case Presence(name, here):
                self.names.add(name)
                self.tell(f"{name} {'is here' if here else 'has gone'}")
            case Connected(carrier):
                if carrier != "udp":
                    self.tell("UDP does not get through; the chat goes over HPTP")
            case Disconnected(reason):
                self.tell(f"not connected: {reason}; trying again")

    def tell(self, text: str) -> None:
        """A notice."""
        self._write([notice(text)])

    # Commands

    async def go_to(self, room: str, *, make: bool = False) -> None:
        """Put a room in front, with what was said there last."""
        told = await self.chat.join(room, make=make)
        self.room = str(told.get("room", room))
        self.known_rooms.add(self.room)
        history = await self.chat.history(self.room, limit=_HISTORY)
        self.unread.pop(self.room, None)
        self.mentioned.discard(self.room)
        lines = [line for said in history for line in said_lines(said, self.own_name, with_room=False)]
        self._write([notice(f"--- {self.room} ---"), *lines])
        self.names |= {said.sender for said in history}
        self.names |= {str(member["name"]) for member in await self.chat.who(self.room)}
        await self._mark_read(_number(told, "last_id"))

    async def join(self, words: str) -> None:
        """/join"""
        if not words:
            self.tell("which room? write /join NAME, or /join @NAME to talk with one person")
            return
        await self.go_to(words, make=not words.startswith(_DIRECT))

    async def leave(self, words: str) -> None:
        """/leave"""
        room = words or self.room
        if not room:
            self.tell("you are in no room")
            return
        await self.chat.leave(room)
        self.unread.pop(room, None)
        if room == self.room:
            self.room = ""
        self.tell(f"you have left {room}")

    async def list_rooms(self, _words: str) -> None:
        """/rooms"""
        rooms = await self.chat.rooms()
        self._note_rooms(rooms)
        if not rooms:
            self.tell("there is no room yet; /join NAME makes one")
        for told in rooms:
            name, unread = str(told.get("room")), self.unread[str(told.get("room"))]
            marks = ["you are in it"] if told.get("member") is True else []
            marks += [f"{unread} unread"] if unread else []
            self.tell(f"  {name}: {_number(told, 'last_id')} messages{''.join(f', {mark}' for mark in marks)}")

    async def list_people(self, words: str) -> None:
        """/who"""
        room = words or self.room or None
        members = await self.chat.who(room)
        self.names |= {str(member["name"]) for member in members}
        shown = ", ".join(f"{member['name']}{'' if member.get('here') else ' (away)'}" for member in members)
        self.tell(f"{room or 'here'}: {shown or 'nobody'}")

    async def message(self, words: str) -> None:
        """/msg"""
        name, _, text = words.partition(" ")
        if not name:
            self.tell("to whom? write /msg NAME TEXT, or /msg NAME to talk with one person")
            return
        place = name if name.startswith(_DIRECT) else _DIRECT + name
        if text.strip():
            await self.chat.mark_read(place, await self.chat.say(place, text.strip()))
        else:
            await self.go_to(place)

    async def act(self, words: str) -> None:
        """/me"""
        await self.say(words, "me")

    async def help(self, _words: str) -> None:
        """/help"""
        width = max(len(f"/{name} {command.words}") for name, command in COMMANDS.items())
        for name, command in COMMANDS.items():
            self.tell(f"  {f'/{name} {command.words}':<{width}}  {command.help}")

    async def quit(self, _words: str) -> None:
        """/quit"""
        raise Quit

    async def _command(self, line: str) -> None:
        name, _, words = line.partition(" ")
        command = COMMANDS.get(name.lower())
        if command is None:
            self.tell(f"no command is called /{name}; /help lists them, and //{name} says it")
            return
        await command.run(self, words.strip())

    def _hear_said(self, said: Said) -> None:
        self.names.add(said.sender)
        self.known_rooms.add(said.room)
        is_front = said.room == self.room
        names_us = mentions(said, self.own_name)
        if not is_front and said.sender != self.own_name:
            self.unread[said.room] += 1
            if names_us:
                self.mentioned.add(said.room)
        if is_front or names_us or said.room.startswith(_DIRECT):
            self._write(said_lines(said, self.own_name, with_room=not is_front))

    def _note_rooms(self, rooms: Iterable[Mapping[str, object]]) -> None:
        self.known_rooms |= {str(told.get("room")) for told in rooms}

    async def _mark_read(self, number: int) -> None:
        if self.room and number:
            await self.chat.mark_read(self.room, number)

    async def read_so_far(self) -> None:
        """Tell the server how far we have read, now and then and at the end."""
        if self.room:
            await self._mark_read(self.chat.core.rooms.get(self.room, 0))


def _number(told: object, name: str) -> int:
    value = told.get(name) if isinstance(told, dict) else None
    return value if isinstance(value, int) else 0


COMMANDS = {
    "join": Command("ROOM", "go into a room (made if there is none), or @NAME", Conversation.join),
    "leave": Command("[ROOM]", "leave a room", Conversation.leave),
    "rooms": Command("", "list the rooms, and what is unread", Conversation.list_rooms),
    "who": Command("[ROOM]", "list who is in a room", Conversation.list_people),
    "msg": Command("NAME [TEXT]", "say something to one person, or talk with them", Conversation.message),
    "me": Command("TEXT", "say what you do", Conversation.act),
    "help": Command("", "this list", Conversation.help),
    "quit": Command("", "leave the chat; Ctrl-D does too", Conversation.quit),
}
