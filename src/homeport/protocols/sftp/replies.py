"""What an SFTP server answers: each function makes one whole packet, its length included."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import VERSION, Status, Type
from homeport.protocols.sftp.wire import string, text, u32

_HEAD = struct.Struct(">IBI")
_DATA_HEAD = struct.Struct(">IBII")
DATA_HEAD_BYTES = _DATA_HEAD.size
_BEHIND_LENGTH = 5  # type and request id


class Name(NamedTuple):
    """One entry of a folder: its name, the line that `ls -l` would show, and its attributes."""

    name: str
    line: str
    attributes: Attributes


def version(extensions: Iterable[tuple[str, str]]) -> bytes:
    """The answer to INIT, with the names of extensions and their data."""
    payload = bytes([Type.VERSION]) + u32(VERSION) + b"".join(text(name) + text(data) for name, data in extensions)
    return string(payload)


def status(request: int, code: Status, sentence: str) -> bytes:
    """How a request ended. The sentence is ours, in English."""
    return _packet(Type.STATUS, request, u32(code) + text(sentence) + string(b"en"))


def handle(request: int, name: bytes) -> bytes:
    """A file or folder has been opened."""
    return _packet(Type.HANDLE, request, string(name))


def data_head(request: int, size: int) -> bytes:
    """What stands before `size` bytes of a file."""
    return _DATA_HEAD.pack(_BEHIND_LENGTH + 4 + size, Type.DATA, request, size)


def names(request: int, entries: Sequence[Name]) -> bytes:
    """Entries of a folder, or a path."""
    parts = [u32(len(entries))]
    for entry in entries:
        parts += [text(entry.name), text(entry.line), entry.attributes.encoded()]
    return _packet(Type.NAME, request, b"".join(parts))


def attributes(request: int, found: Attributes) -> bytes:
    """What is known of a file."""
    return _packet(Type.ATTRS, request, found.encoded())


def extended(request: int, payload: bytes) -> bytes:
    """The answer to an extension's request."""
    return _packet(Type.EXTENDED_REPLY, request, payload)


def _packet(kind: Type, request: int, payload: bytes) -> bytes:
    return _HEAD.pack(_BEHIND_LENGTH + len(payload), kind, request) + payload
