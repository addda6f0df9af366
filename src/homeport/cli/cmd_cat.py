"""`homeport cat`: a file's bytes on standard output.

One rule: a terminal gets text with everything else escaped; a pipe or file gets the bytes as they are.
"""

from __future__ import annotations

import codecs
import hashlib
import sys
from typing import TYPE_CHECKING, Protocol

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable

if TYPE_CHECKING:
    from homeport.client.remote import Remote

_BLOCK_BYTES = 256 * 1024


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: memoryview) -> None: ...

    def finish(self) -> None: ...


@click.command(name="cat")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@options.connects
def command(urls: tuple[str, ...], how: options.How) -> None:
    """Write the files at URL to standard output, one after the other."""
    from homeport.cli.connecting import Connector

    connector = Connector(how)
    places = [connector.remote_of(url) for url in urls]
    for place in places:
        remote = connector.dial(place)
        try:
            pour(remote, place.path)
        finally:
            remote.close()


def pour(remote: Remote, path: str) -> None:
    """A file's bytes to standard output. Raises IntegrityMismatch when the server's digest says otherwise."""
    sink: Sink = TerminalSink() if sys.stdout.isatty() else PipeSink()
    wanted = "SHA-256" if "SHA-256" in remote.abilities.digests else None
    reader = remote.open_reader(path, digest=wanted)
    digest = hashlib.sha256()
    try:
        with memoryview(bytearray(_BLOCK_BYTES)) as buffer:
            while count := reader.read_into(buffer):
                digest.update(buffer[:count])
                sink.write(buffer[:count])
    except BaseException:
        reader.abort()
        raise
    told = reader.finish()
    sink.finish()
    if told is not None and told.algorithm == "SHA-256" and told.value != digest.hexdigest():
        from homeport.client.errors import IntegrityMismatch

        raise IntegrityMismatch(f"{path} arrived with another digest than the server's", told.value, digest.hexdigest())


class PipeSink:
    """Bytes as they are."""

    def write(self, data: memoryview) -> None:
        """All of `data`."""
        sys.stdout.buffer.write(data)

    def finish(self) -> None:
        """Everything goes out now."""
        sys.stdout.buffer.flush()


class TerminalSink:
    """Text: lines and tabs stay, whatever else does not print is escaped."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._ends_line = True

    def write(self, data: memoryview) -> None:
        """All of `data`, as far as its last whole character."""
        self._put(self._decoder.decode(bytes(data)))

    def finish(self) -> None:
        """The rest, and a line's end if the file has none."""
        self._put(self._decoder.decode(b"", final=True))
        if not self._ends_line:
            sys.stdout.write("\n")
        sys.stdout.flush()

    def _put(self, text: str) -> None:
        if text:
            lines = text.replace("\r\n", "\n").split("\n")
            sys.stdout.write("\n".join("\t".join(map(printable, line.split("\t"))) for line in lines))
            self._ends_line = text.endswith("\n")
