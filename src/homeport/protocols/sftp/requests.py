"""What an SFTP client may ask: one named tuple a request, and the two tables that read them.

The one rule: `parse` answers every packet with a request or with Malformed; whoever asks for something that is not in
the tables gets `Unknown`. Field names are those of the draft (draft-ietf-secsh-filexfer-02 section 6) and of OpenSSH's
PROTOCOL file. What an extension adds behind its known fields is ignored, as its later versions may add some.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Open, Type
from homeport.protocols.sftp.wire import Malformed, Reader

UPLOAD_APPENDS = 1  # flags of upload@homeport
UPLOAD_HAS_SIZE = 2
NO_QUOTA = 2**64 - 1  # in the answer to usage@homeport
_IDS_MAX = 1024
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")


class Init(NamedTuple):
    version: int


class OpenFile(NamedTuple):
    id: int
    path: str
    flags: Open
    attributes: Attributes


class Close(NamedTuple):
    id: int
    handle: bytes


class Read(NamedTuple):
    id: int
    handle: bytes
    offset: int
    size: int


class Write(NamedTuple):
    """`data` is a view into the packet."""

    id: int
    handle: bytes
    offset: int
    data: memoryview


class LinkStat(NamedTuple):
    id: int
    path: str


class Stat(NamedTuple):
    id: int
    path: str


class HandleStat(NamedTuple):
    id: int
    handle: bytes


class SetStat(NamedTuple):
    id: int
    path: str
    attributes: Attributes


class HandleSetStat(NamedTuple):
    id: int
    handle: bytes
    attributes: Attributes


class OpenFolder(NamedTuple):
    id: int
    path: str


class ReadFolder(NamedTuple):
    id: int
    handle: bytes


class Remove(NamedTuple):
    id: int
    path: str


class MakeFolder(NamedTuple):
    id: int
    path: str
    attributes: Attributes


class RemoveFolder(NamedTuple):
    id: int
    path: str


class RealPath(NamedTuple):
    id: int
    path: str


class Rename(NamedTuple):
    id: int
    source: str
    target: str


class ReadLink(NamedTuple):
    id: int
    path: str


class MakeLink(NamedTuple):
    """OpenSSH sends the two paths the other way round than the draft says, and everybody follows it."""

    id: int
    target: str
    path: str


class PosixRename(NamedTuple):
    id: int
    source: str
    target: str


class FileSystem(NamedTuple):
    id: int
    path: str


class HandleFileSystem(NamedTuple):
    id: int
    handle: bytes


class HardLink(NamedTuple):
    id: int
    source: str
    target: str


class Flush(NamedTuple):
    id: int
    handle: bytes


class LinkSetStat(NamedTuple):
    id: int
    path: str
    attributes: Attributes


class Limits(NamedTuple):
    id: int


class Usage(NamedTuple):
    id: int


class CopyData(NamedTuple):
    """`size` 0: up to the end."""

    id: int
    source: bytes
    offset: int
    size: int
    target: bytes
    target_offset: int


class ExpandPath(NamedTuple):
    id: int
    path: str


class HomeFolder(NamedTuple):
    id: int
    name: str


class NamesOfIds(NamedTuple):
    id: int
    users: tuple[int, ...]
    groups: tuple[int, ...]


class CheckFile(NamedTuple):
    """draft-ietf-secsh-filexfer-extensions-00 section 3: the digest of blocks, or of all (`block` 0; `size` 0: to the
    end). Either `path` or `handle` is None.
    """

    id: int
    path: str | None
    handle: bytes | None
    algorithms: tuple[str, ...]
    offset: int
    size: int
    block: int


class Md5(NamedTuple):
    """The same draft's older way: one MD5, if the first bytes have the digest `quick` (empty: in any case)."""

    id: int
    path: str | None
    handle: bytes | None
    offset: int
    size: int
    quick: bytes


class BeginUpload(NamedTuple):
    """Homeport's own: open a file as FTP's REST, APPE and ALLO do. It goes on at `offset` (0: it begins anew), or at
    the end of what is there (`append`); it is put in place only if it has then `size` bytes and this SHA-256, where
    they are said.
    """

    id: int
    path: str
    append: bool
    offset: int
    size: int | None
    sha256: str | None


class Reserve(NamedTuple):
    """Homeport's own: keep room for the next upload, as FTP's ALLO."""

    id: int
    size: int


class PartialSize(NamedTuple):
    """Homeport's own: how much of an interrupted upload is kept, whether or not a whole file has the name."""

    id: int
    path: str


class Unknown(NamedTuple):
    """`name` says what was asked for."""

    id: int
    name: str


Request: TypeAlias = (
    OpenFile | Close | Read | Write | LinkStat | Stat | HandleStat | SetStat | HandleSetStat | OpenFolder | ReadFolder
    | Remove | MakeFolder | RemoveFolder | RealPath | Rename | ReadLink | MakeLink | PosixRename | FileSystem
    | HandleFileSystem | HardLink | Flush | LinkSetStat | Limits | CopyData | ExpandPath | HomeFolder | NamesOfIds
    | CheckFile | Md5 | BeginUpload | Reserve | PartialSize | Usage | Unknown
)  # fmt: skip


def parse_init(packet: memoryview) -> Init:
    """The first packet of a client. Raises Malformed."""
    reader = Reader(packet)
    if reader.u8() != Type.INIT:
        raise Malformed("the first packet is no INIT")
    return Init(reader.u32())


def parse(packet: memoryview) -> Request:
    """The request in `packet`, which is not empty. Raises MalformedRequest, and Malformed where not even its id is
    there.
    """
    reader = Reader(packet)
    kind = reader.u8()
    number = reader.u32()
    read = _READERS.get(kind)
    if read is None:
        return Unknown(number, f"a packet of type {kind}")
    try:
        return read(number, reader)
    except Malformed as error:
        raise MalformedRequest(number, str(error)) from error


class MalformedRequest(Malformed):
    """A request that can be answered, for `id` is known."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.id = number


_Read: TypeAlias = Callable[[int, Reader], Request]


def _path(make: Callable[[int, str], Request]) -> _Read:
    return lambda number, reader: make(number, reader.text())


def _handle(make: Callable[[int, bytes], Request]) -> _Read:
    return lambda number, reader: make(number, bytes(reader.bytes_()))


def _two_paths(make: Callable[[int, str, str], Request]) -> _Read:
    return lambda number, reader: make(number, reader.text(), reader.text())


def _path_and_attributes(make: Callable[[int, str, Attributes], Request]) -> _Read:
    return lambda number, reader: make(number, reader.text(), Attributes.read(reader))


def _open(number: int, reader: Reader) -> Request:
    return OpenFile(number, reader.text(), Open(reader.u32() & 0x3F), Attributes.read(reader))


def _read(number: int, reader: Reader) -> Request:
    return Read(number, bytes(reader.bytes_()), reader.u64(), reader.u32())


def _write(number: int, reader: Reader) -> Request:
    return Write(number, bytes(reader.bytes_()), reader.u64(), reader.bytes_())


def _handle_setstat(number: int, reader: Reader) -> Request:
    return HandleSetStat(number, bytes(reader.bytes_()), Attributes.read(reader))


def _copy_data(number: int, reader: Reader) -> Request:
    source, offset, size = bytes(reader.bytes_()), reader.u64(), reader.u64()
    return CopyData(number, source, offset, size, bytes(reader.bytes_()), reader.u64())


def _names_of_ids(number: int, reader: Reader) -> Request:
    return NamesOfIds(number, _ids(reader.bytes_()), _ids(reader.bytes_()))


def _ids(packed: memoryview) -> tuple[int, ...]:
    reader, ids = Reader(packed), []
    while not reader.ended:
        ids.append(reader.u32())
        if len(ids) > _IDS_MAX:
            raise Malformed(f"more than {_IDS_MAX} ids at once")
    return tuple(ids)


def _check_file(number: int, reader: Reader, *, by_name: bool) -> Request:
    path, handle = (reader.text(), None) if by_name else (None, bytes(reader.bytes_()))
    algorithms = tuple(name for name in reader.text().split(",") if name)
    return CheckFile(number, path, handle, algorithms, reader.u64(), reader.u64(), reader.u32())


def _md5(number: int, reader: Reader, *, by_name: bool) -> Request:
    path, handle = (reader.text(), None) if by_name else (None, bytes(reader.bytes_()))
    return Md5(number, path, handle, reader.u64(), reader.u64(), bytes(reader.bytes_()))


def _begin_upload(number: int, reader: Reader) -> Request:
    path, flags, offset, size, sha256 = reader.text(), reader.u32(), reader.u64(), reader.u64(), reader.text()
    if sha256 and not _SHA256.fullmatch(sha256):
        raise Malformed("a SHA-256 has 64 hexadecimal digits")
    append, sized = bool(flags & UPLOAD_APPENDS), bool(flags & UPLOAD_HAS_SIZE)
    return BeginUpload(number, path, append, offset, size if sized else None, sha256 or None)


def _extended(number: int, reader: Reader) -> Request:
    name = reader.text()
    read = EXTENSIONS.get(name)
    return Unknown(number, f"the extension {name[:64]!a}") if read is None else read(number, reader)


_READERS: dict[int, _Read] = {
    Type.OPEN: _open,
    Type.CLOSE: _handle(Close),
    Type.READ: _read,
    Type.WRITE: _write,
    Type.LSTAT: _path(LinkStat),
    Type.FSTAT: _handle(HandleStat),
    Type.SETSTAT: _path_and_attributes(SetStat),
    Type.FSETSTAT: _handle_setstat,
    Type.OPENDIR: _path(OpenFolder),
    Type.READDIR: _handle(ReadFolder),
    Type.REMOVE: _path(Remove),
    Type.MKDIR: _path_and_attributes(MakeFolder),
    Type.RMDIR: _path(RemoveFolder),
    Type.REALPATH: _path(RealPath),
    Type.STAT: _path(Stat),
    Type.RENAME: _two_paths(Rename),
    Type.READLINK: _path(ReadLink),
    Type.SYMLINK: _two_paths(MakeLink),
    Type.EXTENDED: _extended,
}

EXTENSIONS: dict[str, _Read] = {
    "posix-rename@openssh.com": _two_paths(PosixRename),
    "statvfs@openssh.com": _path(FileSystem),
    "fstatvfs@openssh.com": _handle(HandleFileSystem),
    "hardlink@openssh.com": _two_paths(HardLink),
    "fsync@openssh.com": _handle(Flush),
    "lsetstat@openssh.com": _path_and_attributes(LinkSetStat),
    "limits@openssh.com": lambda number, _: Limits(number),
    "copy-data": _copy_data,
    "expand-path@openssh.com": _path(ExpandPath),
    "home-directory": _path(HomeFolder),
    "users-groups-by-id@openssh.com": _names_of_ids,
    # Paramiko says "check-file" for an open file, others say which.
    "check-file": lambda number, reader: _check_file(number, reader, by_name=False),
    "check-file-handle": lambda number, reader: _check_file(number, reader, by_name=False),
    "check-file-name": lambda number, reader: _check_file(number, reader, by_name=True),
    "upload@homeport": _begin_upload,
    "reserve@homeport": lambda number, reader: Reserve(number, reader.u64()),
    "partial-size@homeport": _path(PartialSize),
    "usage@homeport": lambda number, _: Usage(number),
    "md5-hash": lambda number, reader: _md5(number, reader, by_name=True),
    "md5-hash-handle": lambda number, reader: _md5(number, reader, by_name=False),
}
