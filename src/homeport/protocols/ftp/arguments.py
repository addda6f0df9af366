"""The shapes that a command's argument can have, and one parser a shape.

The one rule: a parser returns a value or raises Refusal with the reply; it never looks at the session.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass

from homeport.protocols.ftp.address import DataAddress, UnknownFamily, parse_eprt, parse_port
from homeport.protocols.ftp.ranges import ByteRange, parse_number, parse_range
from homeport.protocols.ftp.replies import Refusal
from homeport.protocols.ftp.settings import Expectation
from homeport.protocols.ftp.times import parse_time


@dataclass(frozen=True, slots=True)
class Listing:
    """LIST, NLST, STAT: option letters (`la`) and the path, None for the current folder."""

    options: str
    path: str | None


@dataclass(frozen=True, slots=True)
class Times:
    """MFMT and SITE UTIME: the new modification time and whose."""

    mtime_ns: int
    path: str


@dataclass(frozen=True, slots=True)
class Facts:
    """MFF: what to change; None leaves it as it is."""

    mtime_ns: int | None
    mode: int | None
    path: str


@dataclass(frozen=True, slots=True)
class FileMode:
    """SITE CHMOD: permission bits, never more than 0o777."""

    mode: int
    path: str


@dataclass(frozen=True, slots=True)
class DigestOf:
    """XCRC, XMD5, ...: the bytes from `start` up to and without `end` (None: to the end)."""

    path: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """COMB: the files to join, in order, into `target`."""

    target: str
    parts: tuple[str, ...]


class ExtendedPassive(enum.Enum):
    """EPSV's argument; ANY where there is none."""

    ANY = ""
    IPV4 = "1"
    IPV6 = "2"
    ALL = "ALL"


Parsed = (
    None
    | str
    | int
    | Listing
    | Times
    | Facts
    | FileMode
    | DigestOf
    | Parts
    | DataAddress
    | ByteRange
    | ExtendedPassive
    | Expectation
)


class Shape(enum.Enum):
    """What an argument looks like, and in which type it is handed on."""

    NONE = "none"  # None
    ANYTHING = "anything"  # str, not looked at
    WORD = "one word"  # str, upper case
    OPTIONAL_WORD = "one word or none"  # str | None, upper case
    TEXT = "text"  # str
    OPTIONAL_TEXT = "text or none"  # str | None
    PATH = "path"  # str
    OPTIONAL_PATH = "path or none"  # str | None
    LISTING = "options and path"  # Listing
    OFFSET = "offset"  # int
    OPTIONAL_NUMBER = "number or none"  # int | None
    ALLOCATION = "size"  # int
    RANGE = "first and last byte"  # ByteRange | None
    HOST_PORT = "h1,h2,h3,h4,p1,p2"  # DataAddress
    EXTENDED_PORT = "|family|address|port|"  # DataAddress
    EXTENDED_PASSIVE = "family, ALL or none"  # ExtendedPassive
    TIME_AND_PATH = "time and path"  # Times
    UTIME = "path and times"  # Times
    FACTS_AND_PATH = "facts and path"  # Facts
    MODE_AND_PATH = "octal mode and path"  # FileMode
    DIGEST = "path, start, end"  # DigestOf
    PARTS = "target and parts"  # Parts
    EXPECTATION = "size and SHA-256"  # Expectation


NAMING = frozenset(
    {
        Shape.PATH,
        Shape.OPTIONAL_PATH,
        Shape.LISTING,
        Shape.TIME_AND_PATH,
        Shape.UTIME,
        Shape.FACTS_AND_PATH,
        Shape.MODE_AND_PATH,
        Shape.DIGEST,
        Shape.PARTS,
    }
)  # shapes that hold file names, in which aliases are resolved (`names.py`)


Parser = Callable[[str], Parsed]


def parse(parser: Parser, text: str, syntax: str) -> Parsed:
    """The argument's value. `parser`: that of the command's shape, `syntax`: its own line of help.

    Raises Refusal (501, or what the RFC says).
    """
    try:
        return parser(text)
    except UnknownFamily:
        raise Refusal(522, "Network protocol not supported, use (1,2)") from None
    except ValueError as error:
        raise Refusal(501, f"Syntax: {syntax} ({error}).") from None


def _anything(text: str) -> str:
    return text


_MISSING = "an argument is missing"


def _none(text: str) -> None:
    if text.strip():
        raise ValueError("no argument is taken")


def _text(text: str) -> str:
    if not text:
        raise ValueError(_MISSING)
    return text


def _optional_text(text: str) -> str | None:
    return text or None


def _word(text: str) -> str:
    word = text.strip().upper()
    if not word:
        raise ValueError(_MISSING)
    return word


def _optional_word(text: str) -> str | None:
    return text.strip().upper() or None


# A token of letters and digits after a dash; anything else that begins with a dash is a name. RFC 959 knows no options,
# clients send them all the same, and a file whose name looks like one is reached as `./-a` or after `--`.
_OPTIONS = re.compile(r"-(-?[A-Za-z0-9]*)(?: +|$)", re.ASCII)


def _listing(text: str) -> Listing:
    text = text.lstrip(" ")
    letters = ""
    while (match := _OPTIONS.match(text)) and match[1]:
        text = text[match.end() :]
        if match[1].startswith("-"):
            break
        letters += match[1]
    return Listing(letters, text or None)


def _offset(text: str) -> int:
    return parse_number(text.strip())


def _optional_number(text: str) -> int | None:
    return parse_number(text.strip()) if text.strip() else None


def _allocation(text: str) -> int:
    size, *record = text.upper().split() or [""]
    if record and (len(record) != 2 or record[0] != "R"):
        raise ValueError("a size in bytes is wanted, and R with a record size may follow")
    if record:
        parse_number(record[1])
    return parse_number(size)


_EXTENDED_PASSIVE = {wanted.value: wanted for wanted in ExtendedPassive}


def _extended_passive(text: str) -> ExtendedPassive:
    wanted = _EXTENDED_PASSIVE.get(text.strip().upper())
    if wanted is None:
        raise UnknownFamily
    return wanted


def _split_first(text: str) -> tuple[str, str]:
    first, _, rest = text.partition(" ")
    if not first or not rest:
        raise ValueError("two arguments are wanted")
    return first, rest


def _time_and_path(text: str) -> Times:
    time, path = _split_first(text)
    return Times(parse_time(time), path)


_UTIME_OLD = re.compile(r"([0-9]{12}(?:[0-9]{2})?) (.+)", re.ASCII | re.DOTALL)
_UTIME_NEW = re.compile(r"(.+) [0-9]{14} ([0-9]{14}) [0-9]{14} UTC", re.ASCII | re.DOTALL)


def _utime(text: str) -> Times:
    """`SITE UTIME path accessed modified created UTC`, or the older `SITE UTIME YYYYMMDDhhmm[ss] path`."""
    if match := _UTIME_NEW.fullmatch(text):
        return Times(parse_time(match[2]), match[1])
    if match := _UTIME_OLD.fullmatch(text):
        return Times(parse_time(match[1].ljust(14, "0")), match[2])
    raise ValueError("a time and a path are wanted")


def _octal(text: str, limit: int) -> int:
    if not re.fullmatch("[0-7]{3,4}", text, re.ASCII) or int(text, 8) > limit:
        raise ValueError("a mode of three octal digits is wanted")
    return int(text, 8)


def _mode_and_path(text: str) -> FileMode:
    mode, path = _split_first(text)
    value = _octal(mode, 0o7777)
    if value > 0o777:
        raise Refusal(504, "The setuid, setgid and sticky bits cannot be set.")
    return FileMode(value, path)


def _facts_and_path(text: str) -> Facts:
    facts, path = _split_first(text)
    mtime_ns = mode = None
    for fact in facts.removesuffix(";").split(";"):
        name, equals, value = fact.partition("=")
        if not equals:
            raise ValueError("facts are written name=value;")
        match name.lower():
            case "modify":
                mtime_ns = parse_time(value)
            case "unix.mode":
                mode = _octal(value, 0o777)
            case _:
                raise Refusal(504, f"The fact {name} cannot be changed; Modify and UNIX.mode can.")
    return Facts(mtime_ns, mode, path)


_QUOTED = re.compile(r'"((?:[^"]|"")+)"(?: +|$)')


def _unquote(text: str) -> tuple[str, str]:
    """The name in double quotes at the beginning, and what follows it."""
    match = _QUOTED.match(text)
    if match is None:
        raise ValueError("a name in double quotes is not closed")
    return match[1].replace('""', '"'), text[match.end() :]


def _digest(text: str) -> DigestOf:
    """A bare path, or a quoted one that may have a start and an end behind it."""
    if not text.startswith('"'):
        return DigestOf(_text(text))
    path, rest = _unquote(text)
    numbers = [parse_number(word) for word in rest.split()]
    if len(numbers) > 2:
        raise ValueError("a path, a start and an end are wanted")
    result = DigestOf(path, *numbers)
    if result.end is not None and result.end < result.start:
        raise ValueError("the end lies before the start")
    return result


def _parts(text: str) -> Parts:
    names = []
    while text:
        if text.startswith('"'):
            name, text = _unquote(text)
        else:
            name, _, text = text.partition(" ")
        text = text.lstrip(" ")
        names.append(_text(name))
    if len(names) < 2:
        raise ValueError("a target and at least one part are wanted")
    return Parts(names[0], tuple(names[1:]))


def _expectation(text: str) -> Expectation:
    size, digest = _split_first(text.strip())
    if not re.fullmatch("[0-9a-fA-F]{64}", digest, re.ASCII):
        raise ValueError("a SHA-256 is 64 hexadecimal digits")
    return Expectation(parse_number(size), digest.lower())


PARSERS: dict[Shape, Parser] = {
    Shape.NONE: _none,
    Shape.ANYTHING: _anything,
    Shape.WORD: _word,
    Shape.OPTIONAL_WORD: _optional_word,
    Shape.TEXT: _text,
    Shape.OPTIONAL_TEXT: _optional_text,
    Shape.PATH: _text,
    Shape.OPTIONAL_PATH: _optional_text,
    Shape.LISTING: _listing,
    Shape.OFFSET: _offset,
    Shape.OPTIONAL_NUMBER: _optional_number,
    Shape.ALLOCATION: _allocation,
    Shape.RANGE: parse_range,
    Shape.HOST_PORT: parse_port,
    Shape.EXTENDED_PORT: parse_eprt,
    Shape.EXTENDED_PASSIVE: _extended_passive,
    Shape.TIME_AND_PATH: _time_and_path,
    Shape.UTIME: _utime,
    Shape.FACTS_AND_PATH: _facts_and_path,
    Shape.MODE_AND_PATH: _mode_and_path,
    Shape.DIGEST: _digest,
    Shape.PARTS: _parts,
    Shape.EXPECTATION: _expectation,
}


def names_in(argument: Parsed) -> str:
    """The names that an argument of a creating command brings: what must hold no line end."""
    match argument:
        case str():
            return argument
        case Parts(target=target):
            return target
        case _:
            return ""
