"""Typed parameters of named commands: how a type is written, and which values fit it.

The one rule: a value that fits cannot be taken for an option, is one argument, and means what its type says.

    int 1-12            a whole number from 1 to 12; "int" alone takes any
    choice day week     one of these words
    text [a-z]{1,20}    what the whole regular expression matches; it begins with no dash
    path                a file or folder of the account, given as an absolute path in the sandbox
"""

from __future__ import annotations

import re
from collections.abc import Callable

from homeport.core.errors import InvalidPath
from homeport.core.paths import ROOT

MAX_VALUE_LENGTH = 4096
_MAX_TEXT_LENGTH = 256  # a regular expression may need time that grows fast with the length
_RANGE = re.compile(r"(-?\d{1,18})-(-?\d{1,18})", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_TYPES = "int, int LEAST-MOST, choice WORD..., text REGEX, path"

# From a value and the home's name in the sandbox to the argument; raises ValueError with the reason.
Read = Callable[[str, str], str]


def parse_type(text: str) -> Read:
    """How values of the type `text` are read. Raises ValueError that says what a type looks like."""
    kind, _, rest = text.strip().partition(" ")
    make = _KINDS.get(kind)
    if make is None:
        raise ValueError(f"{text!r} is no type of parameter; write one of: {_TYPES}")
    return make(rest.strip())


def _int(rest: str) -> Read:
    matched = _RANGE.fullmatch(rest) if rest else None
    if rest and (matched is None or int(matched[1]) > int(matched[2])):
        raise ValueError(f"{rest!r} is no range of numbers; write such as int 1-12")
    least, most = (int(matched[1]), int(matched[2])) if matched else (None, None)

    def read(value: str, _: str) -> str:
        if not _NUMBER.fullmatch(value):
            raise ValueError(f"{value!r} is no whole number")
        if least is not None and most is not None and not least <= int(value) <= most:
            raise ValueError(f"{value} is not from {least} to {most}")
        return str(int(value))

    return read


def _choice(rest: str) -> Read:
    words = rest.split()
    if not words:
        raise ValueError("a choice needs words; write such as choice day week")

    def read(value: str, _: str) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is not one of: {', '.join(words)}")
        return value

    return read


def _text(rest: str) -> Read:
    try:
        pattern = re.compile(rest)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{rest!r} is no regular expression: {error}") from error
    if not rest:
        raise ValueError("text needs a regular expression; write such as text [a-z]{1,20}")

    def read(value: str, _: str) -> str:
        if value.startswith("-"):
            raise ValueError(f"{value!r} begins with a dash")
        if len(value) > _MAX_TEXT_LENGTH or not pattern.fullmatch(value):
            raise ValueError(f"{value!r} does not have the form {rest}")
        return value

    return read


def _path(rest: str) -> Read:
    if rest:
        raise ValueError("path takes nothing more")

    def read(value: str, home: str) -> str:
        try:
            return f"{home}{ROOT.join(value)}".rstrip("/")
        except InvalidPath as error:
            raise ValueError(str(error)) from error

    return read


_KINDS: dict[str, Callable[[str], Read]] = {"int": _int, "choice": _choice, "text": _text, "path": _path}
