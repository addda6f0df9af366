"""Which way a file's bytes take between the disk and the data connection: TYPE, MODE and PROT as a chain of steps.

The one rule: each link of the chain works piece by piece in constant memory, whatever the peer sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from homeport.core.transfer import Download
from homeport.protocols.ftp.codecs import AsciiDecoder, AsciiEncoder, BadStream, Deflater, Inflater
from homeport.protocols.ftp.settings import Representation, Settings, TransferMode
from homeport.servers.ftp.data import DataConnection, DataLost
from homeport.servers.ftp.pump import BUFFER_BYTES, Flow, SendBlocks, SendFile, blocks_of

Write = Callable[[bytes | memoryview], None]
Finish = Callable[[], None]


def as_they_are(settings: Settings) -> bool:
    """Whether the wire's bytes are the file's."""
    return settings.representation is not Representation.ASCII and settings.mode is TransferMode.STREAM


def download_flow(connection: DataConnection, download: Download, settings: Settings) -> Flow:
    """How `download` goes out: as it is, by the kernel where that can be, else in blocks."""
    if as_they_are(settings):
        return SendFile(connection, download, download.finish)
    blocks: Iterator[bytes] = blocks_of(download)
    if settings.representation is Representation.ASCII:
        blocks = map(AsciiEncoder().encode, blocks)
    return SendBlocks(connection, deflated(blocks, settings), download.finish)


def deflated(blocks: Iterable[bytes], settings: Settings) -> Iterator[bytes]:
    """`blocks`, deflated where MODE Z is on."""
    if settings.mode is not TransferMode.DEFLATE:
        yield from blocks
        return
    deflater = Deflater(settings.deflate_level)
    for block in blocks:
        yield deflater.encode(block)
    yield deflater.finish()


def upload_sink(write: Write, finish: Finish, settings: Settings) -> tuple[Write, Finish]:
    """What to do with each piece from the wire, and at its end, so that the file's own bytes come to `write`."""
    if settings.representation is Representation.ASCII:
        write, finish = _from_text(write, finish)
    if settings.mode is TransferMode.DEFLATE:
        write, finish = _from_deflated(write, finish)
    return write, finish


def _from_text(write: Write, finish: Finish) -> tuple[Write, Finish]:
    decoder = AsciiDecoder()

    def write_text(piece: bytes | memoryview) -> None:
        write(decoder.decode(bytes(piece)))

    def finish_text() -> None:
        write(decoder.finish())
        finish()

    return write_text, finish_text


def _from_deflated(write: Write, finish: Finish) -> tuple[Write, Finish]:
    inflater = Inflater()

    def write_deflated(piece: bytes | memoryview) -> None:
        try:
            # A bomb comes out in pieces, and each one is charged to the quota before it is written.
            write(inflater.decode(bytes(piece), BUFFER_BYTES))
            while inflater.has_more:
                write(inflater.decode(b"", BUFFER_BYTES))
        except BadStream as error:
            raise DataLost(f"The data is {error}.") from error

    def finish_deflated() -> None:
        try:
            inflater.finish()
        except BadStream as error:
            raise DataLost(f"The data is wrong: {error}.") from error
        finish()

    return write_deflated, finish_deflated
