"""What an SFTP server answers, as a client reads it: one named tuple an answer, and the table that reads them.

The one rule: the server is not trusted. What does not read as an answer is Malformed, never a guess; whoever announces
more than its packet can hold is not believed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import VERSION, Type
from homeport.protocols.sftp.wire import Malformed, Reader

MAX_EXTENSIONS = 256


class StatusAnswer(NamedTuple):
    """How it went; `text` is the server's own, empty where it says nothing."""

    id: int
    code: int
    text: bytes


class HandleAnswer(NamedTuple):
    """What stands for an open file or folder from now on."""

    id: int
    handle: bytes


class DataAnswer(NamedTuple):
    """Bytes of a file: a view into the packet."""

    id: int
    data: memoryview


class Entry(NamedTuple):
    """One name of a folder."""

    name: bytes
    attributes: Attributes


class NamesAnswer(NamedTuple):
    """Some names of a folder, or the one that a path stands for."""

    id: int
    entries: tuple[Entry, ...]


class AttributesAnswer(NamedTuple):
    """What is known of a file."""

    id: int
    attributes: Attributes


class ExtendedAnswer(NamedTuple):
    """The answer to an extension's request, which knows what is in it."""

    id: int
    body: memoryview


Answer: TypeAlias = (
    StatusAnswer | HandleAnswer | DataAnswer | NamesAnswer | AttributesAnswer | ExtendedAnswer
)  # fmt: skip


def parse_version(packet: memoryview) -> dict[bytes, bytes]:
    """The first packet of a server: its extensions by name, with their data. Raises Malformed."""
    reader = Reader(packet)
    kind = reader.u8()
    if kind != Type.VERSION:
        raise Malformed(f"the first packet is of type {kind} and not the version")
    version = reader.u32()
    if version != VERSION:
        raise Malformed(f"version {version} of SFTP was not asked for")
    extensions: dict[bytes, bytes] = {}
    while not reader.ended:
        if len(extensions) >= MAX_EXTENSIONS:
            raise Malformed(f"more than {MAX_EXTENSIONS} extensions")
        name = bytes(reader.bytes_())
        extensions[name] = bytes(reader.bytes_())
    return extensions


def parse_answer(packet: memoryview) -> Answer:
    """The answer in `packet`, which is not empty. Raises Malformed."""
    reader = Reader(packet)
    kind = reader.u8()
    read = _READERS.get(kind)
    if read is None:
        raise Malformed(f"a packet of type {kind} is no answer")
    return read(reader.u32(), reader)


def _status(number: int, reader: Reader) -> Answer:
    code = reader.u32()
    return StatusAnswer(number, code, b"" if reader.ended else bytes(reader.bytes_()))  # old servers send no text


def _handle(number: int, reader: Reader) -> Answer:
    return HandleAnswer(number, bytes(reader.bytes_()))


def _data(number: int, reader: Reader) -> Answer:
    return DataAnswer(number, reader.bytes_())


def _names(number: int, reader: Reader) -> Answer:
    entries = []
    for _ in range(reader.u32()):  # a false number ends with its packet
        name = bytes(reader.bytes_())
        reader.bytes_()  # a line as of `ls -l`, which says nothing that the attributes do not
        entries.append(Entry(name, Attributes.read(reader)))
    return NamesAnswer(number, tuple(entries))


def _attributes(number: int, reader: Reader) -> Answer:
    return AttributesAnswer(number, Attributes.read(reader))


def _extended(number: int, reader: Reader) -> Answer:
    return ExtendedAnswer(number, reader.rest())


_READERS: dict[int, Callable[[int, Reader], Answer]] = {
    Type.STATUS: _status,
    Type.HANDLE: _handle,
    Type.DATA: _data,
    Type.NAME: _names,
    Type.ATTRS: _attributes,
    Type.EXTENDED_REPLY: _extended,
}
