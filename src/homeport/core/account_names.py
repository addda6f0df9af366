"""Which names an account can have, and when two names are the same one.

The one rule: a name that passes is safe as a folder's name, in a log line and in a terminal.
"""

from __future__ import annotations

import unicodedata

MAX_NAME_LENGTH = 64
_MAX_NAME_BYTES = 255  # a home is a folder of this name
_CHARACTERS = "a name has letters, digits, dot, underscore, dash and @ only"
_PLAIN = frozenset("0123456789._-@")
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0")  # Hangul fillers: letters to Unicode, nothing to the eye


def name_key(name: str) -> str:
    """What must be unique: two names with one key look the same (NFKC, case folded).

    Raises ValueError with the reason when no account can have the name; the cost is bounded for names of any length.
    """
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean_name(name)).casefold())
    if len(key) > MAX_NAME_LENGTH:
        raise ValueError(f"a name has at most {MAX_NAME_LENGTH} characters")
    if not all(_may_be_in(character) or unicodedata.category(character).startswith("M") for character in key):
        raise ValueError(_CHARACTERS)  # a ligature of words that has a space in it
    return key


def clean_name(name: str) -> str:
    """The name as it is stored, in NFC; raises ValueError as `name_key` does."""
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise ValueError(f"a name has 1 to {MAX_NAME_LENGTH} characters")
    name = unicodedata.normalize("NFC", name)
    if name[0] in ".-":
        raise ValueError("a name begins with no dot and no dash")
    if not all(_may_be_in(character) for character in name):
        raise ValueError(_CHARACTERS)
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise ValueError(f"a name has at most {_MAX_NAME_BYTES} bytes in UTF-8")
    return name


def _may_be_in(character: str) -> bool:
    return character in _PLAIN or (character.isalpha() and character not in _INVISIBLE)
