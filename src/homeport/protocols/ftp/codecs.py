"""What a data connection does to a file's bytes: TYPE A's line ends, MODE Z's compression.

The one rule: bytes may be cut anywhere, and no step gives more than was asked for, however little went in.
"""

from __future__ import annotations

import zlib


class BadStream(ValueError):
    """A deflated stream that is damaged, ends early, or goes on after its end."""


class AsciiEncoder:
    """A file's line ends -> the wire's: LF becomes CRLF, a CRLF that is there stays one (RFC 959 section 3.1.1.1)."""

    def __init__(self) -> None:
        self._after_cr = False

    def encode(self, data: bytes) -> bytes:
        """The next piece of the file, at most twice as long."""
        if not data:
            return b""
        joined = data[:1] == b"\n" and self._after_cr
        self._after_cr = data[-1:] == b"\r"
        if joined:
            return b"\n" + data[1:].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class AsciiDecoder:
    """The wire's line ends -> the file's: CRLF becomes LF, a lone CR stays."""

    def __init__(self) -> None:
        self._held = b""

    def decode(self, data: bytes) -> bytes:
        """The next piece from the wire; a CR at its end waits for what follows."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return data.removesuffix(b"\r").replace(b"\r\n", b"\n")

    def finish(self) -> bytes:
        """What still waited."""
        held, self._held = self._held, b""
        return held


class Deflater:
    """Deflates in the zlib format (draft-preston-ftpext-deflate section 3). `level`: 0 (store) to 9."""

    def __init__(self, level: int) -> None:
        self._zlib = zlib.compressobj(level)

    def encode(self, data: bytes) -> bytes:
        """The next piece; often nothing, until a block is full."""
        return self._zlib.compress(data)

    def finish(self) -> bytes:
        """The end of the stream."""
        return self._zlib.flush()


class Inflater:
    """Inflates step by step, so that a bomb costs no more memory than a step."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj()
        self._tail = b""
        self._full = False

    @property
    def has_more(self) -> bool:
        """Whether `decode(b"", ...)` may give more without new input."""
        return not self._zlib.eof and (self._full or bool(self._tail))

    def decode(self, data: bytes, max_output: int) -> bytes:
        """At most `max_output` (1 or more) bytes; what was not consumed is kept for the next call. Raises BadStream."""
        assert max_output > 0
        if self._zlib.eof and data:
            raise BadStream("bytes after the end of the deflated stream")
        try:
            output = self._zlib.decompress(self._tail + data, max_output)
        except zlib.error as error:
            raise BadStream(f"a damaged deflated stream: {error}") from None
        if self._zlib.unused_data:
            raise BadStream("bytes after the end of the deflated stream")
        self._tail = self._zlib.unconsumed_tail
        self._full = len(output) == max_output
        return output

    def finish(self) -> None:
        """The wire has ended. Raises BadStream when the stream has not."""
        if not self._zlib.eof:
            raise BadStream("the deflated stream ends early")
