"""Paths as an account sees them: a tuple of clean segments below its home, never a string with slashes inside.

The one rule: a VirtualPath cannot name anything above its root, and no segment of it is empty, `.`, `..`, or holds a
slash or NUL. Names are text; bytes that are no UTF-8 are carried as surrogates (PEP 383) and come back unchanged.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from homeport.core.errors import InvalidPath

NAME_MAX_BYTES = 255  # NAME_MAX of every Linux file system
PATH_MAX_BYTES = 4095  # PATH_MAX without its NUL
DEPTH_MAX = 512
_FEW = PATH_MAX_BYTES // (NAME_MAX_BYTES + 1)  # segments, of which the longest are still no path that is too long
_SHOWN_CHARACTERS = 80  # of a path that is refused


@dataclass(slots=True, unsafe_hash=True)
class VirtualPath:
    """A place in a home. `ROOT` is the home itself.

    Nobody changes one; Python is not asked to see to it, which would make it four times as dear.
    """

    segments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/" + "/".join(self.segments)

    @property
    def is_root(self) -> bool:
        return not self.segments

    @property
    def name(self) -> str:
        """The last segment; empty for the root."""
        return self.segments[-1] if self.segments else ""

    @property
    def parent(self) -> VirtualPath:
        """The folder that holds it; the root's parent is the root."""
        return VirtualPath(self.segments[:-1])

    def join(self, text: str) -> VirtualPath:
        """The path that `text` names when said from here: absolute with a leading `/`, relative without.

        `.` and empty segments are dropped, `..` climbs and stops at the root (as chroot does). Backslashes are
        ordinary characters. Raises InvalidPath for NUL and for names, paths and depths beyond what a disk can hold.
        """
        segments = [] if text.startswith("/") else list(self.segments)
        for segment in text.split("/"):
            if segment == "..":
                del segments[-1:]
            elif segment not in ("", "."):
                segments.append(segment)
        # Most paths are short and ASCII, and no part of such a text can be too long or unsuitable; NUL is.
        if len(text) <= NAME_MAX_BYTES and len(segments) <= _FEW and text.isascii() and "\0" not in text:
            return VirtualPath(tuple(segments))
        return _checked(text, tuple(segments))

    def child(self, name: str) -> VirtualPath:
        """The entry called `name` in this folder. Raises InvalidPath when `name` is no single clean segment."""
        if name in ("", ".", "..") or "/" in name:
            raise InvalidPath(name, "not a file name")
        return _checked(name, (*self.segments, name))

    def is_within(self, folder: VirtualPath) -> bool:
        """Whether it is `folder` or somewhere below it."""
        return self.segments[: len(folder.segments)] == folder.segments

    def spellings(self) -> Iterator[VirtualPath]:
        """The path as it came, then its normalised forms (NFC, NFD) where they differ: the order of a lookup."""
        yield self
        seen = {self.segments}
        for form in ("NFC", "NFD"):
            segments = tuple(unicodedata.normalize(form, segment) for segment in self.segments)
            if segments not in seen:
                seen.add(segments)
                yield VirtualPath(segments)


ROOT = VirtualPath()


def name_bytes(name: str) -> bytes:
    """The bytes of a name on disk."""
    return name.encode("utf-8", "surrogateescape")


def name_text(raw: bytes) -> str:
    """The text of a name read from the disk."""
    return raw.decode("utf-8", "surrogateescape")


def unlike_others(name: str) -> str:
    """`name` with something added that nobody guesses, cut to what a disk takes."""
    token = secrets.token_hex(4)
    while len(name_bytes(name)) > NAME_MAX_BYTES - len(token) - 1:
        name = name[:-1]
    return f"{name}.{token}" if name else token


def _checked(text: str, segments: tuple[str, ...]) -> VirtualPath:
    if "\0" in text:
        raise InvalidPath(_shown(text).replace("\0", "\\0"), "a name cannot hold a NUL")
    try:
        lengths = [len(name_bytes(segment)) for segment in segments]
    except UnicodeEncodeError:
        raise InvalidPath(ascii(_shown(text)), "a name cannot hold this character") from None
    if max(lengths, default=0) > NAME_MAX_BYTES:
        raise InvalidPath(_shown(text), f"a name is longer than {NAME_MAX_BYTES} bytes")
    if sum(lengths) + len(lengths) > PATH_MAX_BYTES or len(segments) > DEPTH_MAX:
        raise InvalidPath(_shown(text), "the path is too long")
    return VirtualPath(segments)


def _shown(text: str) -> str:
    """What an error repeats of a path that was refused: it may be as long as its sender liked."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
