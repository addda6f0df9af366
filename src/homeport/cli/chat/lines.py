"""How the chat looks: each thing that happens as lines of styled pieces. One rule: everything that somebody else chose
passes `printable`, so a message can fill its own lines and nothing else.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from datetime import datetime

from homeport.cli.terminal import printable
from homeport.client.chat.core import Said

Line = list[tuple[str, str]]
"""Pieces of one line: prompt_toolkit's style, and text without line breaks."""

TIME, QUIET, OWN, MENTION, NOTICE = "class:time", "class:quiet", "class:own", "class:mention", "class:notice"
# Colours that can be read on dark and on light screens; a name keeps its own.
COLOURS = (
    "ansicyan",
    "ansigreen",
    "ansiyellow",
    "ansimagenta",
    "ansiblue",
    "ansired",
    "ansibrightcyan",
    "ansibrightmagenta",
)
STYLES = {
    "time": "ansibrightblack",
    "quiet": "ansibrightblack",
    "own": "bold",
    "mention": "bold reverse",
    "notice": "italic",
}
_INDENT = " " * 6


def colour_of(name: str) -> str:
    """The colour of somebody's name."""
    return COLOURS[zlib.crc32(name.casefold().encode()) % len(COLOURS)]


def said_lines(said: Said, own_name: str, *, with_room: bool) -> list[Line]:
    """A message. `with_room` tells where it was said, for rooms that are not in front."""
    clock = datetime.fromtimestamp(said.at).strftime("%H:%M ")
    head: Line = [(TIME, clock)]
    if with_room:
        head.append((QUIET, f"[{printable(said.room)}] "))
    name = (OWN if said.sender == own_name else colour_of(said.sender), printable(said.sender))
    first, *others = [printable(line.expandtabs(4)) for line in said.text.split("\n")]
    body = MENTION if mentions(said, own_name) else ""
    if said.kind == "me":
        head += [(QUIET, "* "), name, (body, f" {first}")]
    elif said.kind == "file":
        head += [name, (QUIET, f" has put {first}")]
    else:
        head += [name, ("", ": "), (body, first)]
    return [head, *([("", _INDENT), (body, line)] for line in others)]


def mentions(said: Said, own_name: str) -> bool:
    """Whether a message of somebody else's names us."""
    if not own_name or said.sender == own_name:
        return False
    return re.search(rf"(?<!\w){re.escape(own_name)}(?!\w)", said.text, re.IGNORECASE) is not None


def notice(text: str) -> Line:
    """Something that nobody said."""
    return [(NOTICE, printable(text))]


def plain(lines: Iterable[Line]) -> str:
    """Lines without their styles."""
    return "\n".join("".join(text for _, text in line).rstrip() for line in lines)
