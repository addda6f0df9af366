"""scp's old protocol (`scp -O`, rcp's): its command line and its messages, which are lines.

The one rule: a name in a message is one clean name: without a slash, not `.` or `..`; and no name that holds a line
break is sent, for the client would read what follows as another message.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from homeport.core.paths import name_bytes, name_text

LINE_MAX = 4096
_ENTRY = re.compile(rb"(?P<kind>[CD])(?P<mode>[0-7]{4}) (?P<size>[0-9]{1,19}) (?P<name>[^\0]+)")
_TIMES = re.compile(rb"T(?P<changed>[0-9]{1,12}) [0-9]{1,9} (?P<read>[0-9]{1,12}) [0-9]{1,9}")
_FLAGS = frozenset("tfrpdvq")


class BadMessage(Exception):
    """What the client said cannot be meant; the text says why."""


@dataclass(frozen=True, slots=True)
class ScpCommand:
    """`scp -t` (the client sends to `path`) or `scp -f` (it fetches `path`)."""

    path: str
    sends: bool
    recursive: bool = False
    preserve: bool = False
    into_folder: bool = False

    @classmethod
    def parse(cls, command: str) -> ScpCommand:
        """Read the command line as a shell would. Raises BadMessage."""
        try:
            words = shlex.split(command)[1:]
        except ValueError as error:
            raise BadMessage(f"the command line cannot be read: {error}") from error
        flags: set[str] = set()
        while words and words[0].startswith("-") and len(words[0]) > 1:
            word = words.pop(0)
            if word == "--":
                break
            flags.update(word[1:])
        if flags - _FLAGS or ("t" in flags) == ("f" in flags) or len(words) != 1:
            raise BadMessage("it takes -t or -f, -r, -p, -d, and one path")
        return cls(words[0], "t" in flags, "r" in flags, "p" in flags, "d" in flags)


@dataclass(frozen=True, slots=True)
class Coming:
    """A file of `size` bytes, or a folder whose entries follow."""

    name: str
    is_folder: bool
    size: int


@dataclass(frozen=True, slots=True)
class Times:
    """When the next entry was last changed, in seconds since the epoch."""

    changed: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """The client could not send something; `fatal`: it gives up."""

    text: str
    fatal: bool


class FolderEnds:
    """The folder that was begun last is complete."""


Message = Coming | Times | Trouble | FolderEnds


def parse_message(line: bytes) -> Message:
    """A line without its end. Raises BadMessage."""
    if line[:1] in (b"\1", b"\2"):
        return Trouble(line[1:].decode("utf-8", "replace"), line[:1] == b"\2")
    if line == b"E":
        return FolderEnds()
    if times := _TIMES.fullmatch(line):
        return Times(int(times["changed"]))
    entry = _ENTRY.fullmatch(line)
    if entry is None:
        raise BadMessage("a message that scp does not know")
    name = entry["name"]
    if name in (b".", b"..") or b"/" in name:
        raise BadMessage("not a file name")
    return Coming(name_text(name), entry["kind"] == b"D", int(entry["size"]))


def entry_line(name: str, mode: int, size: int, *, is_folder: bool) -> bytes:
    """The message before a file or a folder. Raises BadMessage for a name that cannot be said."""
    if "\n" in name:
        raise BadMessage("scp cannot say a name with a line break; fetch it through sftp")
    return b"%c%04o %d %s\n" % (b"CD"[is_folder], mode & 0o777, size, name_bytes(name))


def times_line(changed: int) -> bytes:
    """The message that says when the next entry was last changed."""
    return b"T%d 0 %d 0\n" % (max(0, changed), max(0, changed))


def error_line(text: str, *, fatal: bool = False) -> bytes:
    """What went wrong with one entry, and the client goes on with the next; or, `fatal`, why nothing more is done."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return (b"\2" if fatal else b"\1") + b"scp: " + clean.encode("utf-8") + b"\n"
