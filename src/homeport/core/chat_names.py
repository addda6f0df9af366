"""Which names rooms can have, which texts can be said, and what an account may do in a room.

The one rule: what passes here can be stored, shown on one line, and means the same to everybody.
"""

from __future__ import annotations

import enum

from homeport.core.account_names import clean_name, name_key
from homeport.core.errors import InvalidMessage

DIRECT = "@"  # before an account's name: the conversation with it
KINDS = frozenset({"say", "me", "file"})
MAX_TOKEN_LENGTH = 64
_ROOM_RULE = "a room's name has letters, digits, dot, underscore and dash only, and begins with none of the last three"


class ChatRights(enum.Flag):
    """What an account may do: hear, be heard, and make rooms."""

    READ = enum.auto()
    TALK = enum.auto()
    MAKE = enum.auto()

    NONE = 0
    ALL = READ | TALK | MAKE

    @classmethod
    def parse(cls, text: str) -> ChatRights:
        """Read `all`, `none`, or names joined by commas such as `read,talk`. Raises ValueError."""
        rights = cls.NONE
        for word in filter(None, (part.strip() for part in text.split(","))):
            known = cls.__members__.get(word.upper())
            if known is None:
                choices = ", ".join(name.lower() for name in cls.__members__)
                raise ValueError(f"no right of the chat is called {word!r}; there are: {choices}")
            rights |= known
        return rights

    def __str__(self) -> str:
        if self == ChatRights.ALL:
            return "all"
        return ",".join(word for word in ("read", "talk", "make") if ChatRights[word.upper()] & self) or "none"


def room_key(name: str) -> str:
    """What must be unique of a room's name. Raises InvalidMessage."""
    try:
        key = name_key(name)
    except ValueError as error:
        raise InvalidMessage(name, _ROOM_RULE) from error
    if DIRECT in key:
        raise InvalidMessage(name, _ROOM_RULE)
    return key


def room_name(name: str) -> str:
    """A room's name as it is stored. Raises InvalidMessage."""
    room_key(name)
    return clean_name(name)


def direct_key(one_id: int, other_id: int) -> str:
    """The key of the conversation of two accounts; no room's name can be it."""
    return f"{DIRECT}{min(one_id, other_id)}:{max(one_id, other_id)}"


def check_text(room: str, text: str, max_chars: int) -> str:
    """The text of a message, as it is stored. Raises InvalidMessage."""
    if len(text) > max_chars:
        raise InvalidMessage(room, f"a message has at most {max_chars} characters, this one has {len(text)}")
    if not text.strip():
        raise InvalidMessage(room, "there is nothing in this message")
    if any(_is_forbidden(character) for character in text):
        raise InvalidMessage(room, "a message has no control characters but tabs and line breaks")
    return text


def _is_forbidden(character: str) -> bool:
    return character not in "\t\n" and (
        character < " " or "\x7f" <= character < "\xa0" or "\ud800" <= character <= "\udfff"
    )
