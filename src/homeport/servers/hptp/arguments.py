"""The shapes of requests' arguments: each is checked once, before anything is done.

The one rule: what is not exactly as docs/hptp.md says is refused with the argument's name; keys that this version does
not know are left unread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homeport.core.digests import ALGORITHMS
from homeport.core.errors import InvalidPath
from homeport.core.paths import ROOT, VirtualPath
from homeport.protocols.hptp.names import from_wire
from homeport.protocols.hptp.strict_json import Json, JsonObject
from homeport.servers.hptp.errors import MALFORMED, Refused, readable

Arguments = Mapping[str, Any]
"""A request's arguments by name, each checked and of its shape's type; None where it was left out without a default."""

_MAX_MODE = 0o7777
_MAX_LABEL = 256
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Shape:
    """How one argument is read; `read` raises ValueError. Without `required`, it may be left out: `default` then."""

    read: Callable[[Json], Any]
    required: bool = True
    default: Any = None


def read_arguments(shapes: Mapping[str, Shape], said: JsonObject) -> Arguments:
    """Every argument in `shapes`. Raises Refused, InvalidPath."""
    read: dict[str, Any] = {}
    for name, shape in shapes.items():
        value = said.get(name)
        if value is None:
            if shape.required:
                raise Refused(MALFORMED, f"the argument {name} is missing")
            read[name] = shape.default
            continue
        try:
            read[name] = shape.read(value)
        except ValueError as error:
            raise Refused(MALFORMED, f"the argument {name}: {error}") from error
    return read


def _path(value: Json) -> VirtualPath:
    text = from_wire(value)
    if not text.startswith("/"):
        raise InvalidPath(readable(text[:80]), "a path begins with /")
    return ROOT.join(text)


def _number(value: Json) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a number from 0 on")
    return value


def _integer(value: Json) -> int:
    if type(value) is not int:
        raise ValueError("not an integer")
    return value


def _mode(value: Json) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_MODE:
        raise ValueError("not permission bits")
    return value


def _flag(value: Json) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _digest(value: Json) -> str:
    if not isinstance(value, str) or len(value) != 64 or not _HEX.issuperset(value):
        raise ValueError("not 64 hexadecimal digits in lower case")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str) or len(value) > _MAX_LABEL:
        raise ValueError("not a short text")
    return value


def _one_of(*choices: str) -> Callable[[Json], str]:
    def read(value: Json) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"none of {', '.join(choices)}")
        return value

    return read


PATH = Shape(_path)
SIZE = Shape(_number)
OPTIONAL_SIZE = Shape(_number, required=False)
OFFSET = Shape(_number, required=False, default=0)
TIME = Shape(_integer)
OPTIONAL_TIME = Shape(_integer, required=False)
MODE = Shape(_mode)
FLAG = Shape(_flag, required=False, default=False)
OPTIONAL_DIGEST = Shape(_digest, required=False)
TEXT = Shape(_text)
KIND = Shape(_one_of("file", "directory"))
ALGORITHM = Shape(_one_of(*ALGORITHMS), required=False, default="SHA-256")
TRAILER = {"size": OPTIONAL_SIZE, "sha256": OPTIONAL_DIGEST}
