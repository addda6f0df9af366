"""A server's replies as a client reads them (RFC 959 section 4.2), and the facts that their texts carry.

The one rule: the server is not trusted. Lines, lines a reply, and bytes in all are bounded, and what does not read as a
reply is a ReplyError, never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LINE_BYTES = 8192
MAX_LINES = 4096


class ReplyError(Exception):
    """The server does not speak FTP, or far too much of it."""


@dataclass(frozen=True, slots=True)
class ServerReply:
    """`code` from 100 to 599; `lines` without codes and line ends, as bytes because the charset is the session's."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def is_preliminary(self) -> bool:
        return self.code < 200

    @property
    def is_success(self) -> bool:
        return self.code < 400

    @property
    def text(self) -> bytes:
        """The last line, which is the whole text of a reply of one line."""
        return self.lines[-1]


_CODE = re.compile(rb"([1-5]\d\d)([ -]|$)")


class ReplyReader:
    """Bytes in, whole replies out."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES, max_lines: int = MAX_LINES) -> None:
        self._max_line_bytes = max_line_bytes
        self._max_lines = max_lines
        self._pending = bytearray()
        self._open: tuple[int, list[bytes]] | None = None  # code and lines of a multi-line reply under way
        self._replies: list[ServerReply] = []

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left over: no half line, no half reply, no reply that nobody has taken."""
        return not self._pending and self._open is None and not self._replies

    def receive(self, data: bytes) -> None:
        """Take what came from the server. Raises ReplyError, after which the reader must not be used again."""
        self._pending += data
        *lines, rest = self._pending.split(b"\n")
        self._pending = rest
        for line in lines:
            self._take_line(bytes(line))
        if len(self._pending) > self._max_line_bytes:
            raise ReplyError(f"the server sent a line of more than {self._max_line_bytes} bytes")

    def replies(self) -> list[ServerReply]:
        """The replies that are whole by now, once each."""
        replies, self._replies = self._replies, []
        return replies

    def _take_line(self, line: bytes) -> None:
        if len(line) > self._max_line_bytes:
            raise ReplyError(f"the server sent a line of more than {self._max_line_bytes} bytes")
        line = line.removesuffix(b"\r")
        found = _CODE.match(line)
        if self._open is None:
            if line.startswith(b"SSH-"):
                raise ReplyError("the server speaks SSH on this port, not FTP; is it the right port?")
            if found is None:
                raise ReplyError(f"the server sent something that is no FTP reply: {line[:60]!r}")
            self._begin(int(found[1]), found[2] == b"-", line[4:])
            return
        code, lines = self._open
        if len(lines) >= self._max_lines:
            raise ReplyError(f"the server sent a reply of more than {self._max_lines} lines")
        if found is not None and int(found[1]) == code and found[2] != b"-":
            self._replies.append(ServerReply(code, (*lines, line[4:])))
            self._open = None
        else:
            # Some servers repeat the code on inner lines (`211-`), some indent; both are the line's text here.
            lines.append(line[4:] if found is not None and int(found[1]) == code else line)

    def _begin(self, code: int, more_follows: bool, text: bytes) -> None:
        if more_follows:
            self._open = (code, [text])
        else:
            self._replies.append(ServerReply(code, (text,)))


_EXTENDED_PORT = re.compile(rb"\(([\x21-\x7e])\1\1(\d{1,5})\1\)")
_PORT = re.compile(rb"(?<!\d)(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})(?!\d)")
_QUOTED = re.compile(rb'"((?:[^"]|"")*)"')
_NUMBER = re.compile(rb"\s*(\d{1,19})\s*$")
_HASH = re.compile(rb"(\S+) (\d{1,19})-(\d{1,19}) ([0-9A-Fa-f]+)(?: |$)")
_HEX = re.compile(rb"(?<![0-9A-Fa-f])([0-9A-Fa-f]{8,128})(?![0-9A-Fa-f])")
_HEX_LENGTHS = {"CRC32": 8, "MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-512": 128}


def extended_passive_port(text: bytes) -> int:
    """The port of a 229 reply (RFC 2428 section 3). Raises ReplyError."""
    found = _EXTENDED_PORT.search(text)
    return _valid_port(int(found[2]) if found else 0, text)


def passive_port(text: bytes) -> int:
    """The port of a 227 reply. The address in it is left unread: the data connection goes to the control host."""
    found = _PORT.search(text)
    return _valid_port(int(found[5]) * 256 + int(found[6]) if found else 0, text)


def _valid_port(port: int, text: bytes) -> int:
    if not 0 < port < 65536:
        raise ReplyError(f"the server announced no usable data port: {text[:60]!r}")
    return port


def quoted_path(text: bytes) -> bytes:
    """The path of a 257 reply, doubled quotes made single (RFC 959 appendix II). Raises ReplyError."""
    found = _QUOTED.search(text)
    if found is None:
        raise ReplyError(f"the server named no folder: {text[:60]!r}")
    return found[1].replace(b'""', b'"')


def size(text: bytes) -> int:
    """The bytes of a 213 reply to SIZE (RFC 3659 section 4). Raises ReplyError."""
    found = _NUMBER.match(text)
    if found is None:
        raise ReplyError(f"the server named no size: {text[:60]!r}")
    return int(found[1])


def features(reply: ServerReply) -> dict[str, str]:
    """FEAT (RFC 2389): feature names in upper case with what stands behind them; a name that comes twice keeps both."""
    found: dict[str, str] = {}
    for line in reply.lines[1:-1]:
        name, _, rest = line.decode("ascii", "replace").strip().partition(" ")
        if name:
            name = name.upper()
            found[name] = f"{found[name]} {rest}" if name in found else rest
    return found


def hash_value(text: bytes, *, algorithm: str) -> str:
    """The digest in an answer to HASH (draft-bryan-ftpext-hash) or to XSHA256, XMD5 and their kin, in lower case.

    Raises ReplyError when there is none of the length that `algorithm` has.
    """
    found = _HASH.match(text)
    value = found[4] if found else next((hit for hit in _HEX.findall(text) if _fits(hit, algorithm)), b"")
    if not _fits(value, algorithm):
        raise ReplyError(f"the server named no {algorithm} digest: {text[:60]!r}")
    return value.decode().lower()


def _fits(value: bytes, algorithm: str) -> bool:
    return len(value) == _HEX_LENGTHS.get(algorithm, -1)


def machine_entry(line: bytes) -> tuple[dict[str, str], bytes]:
    """One line of MLSD or MLST (RFC 3659 section 7.2): facts, names in lower case, and the name. Raises ReplyError."""
    facts_text, space, name = line.partition(b" ")
    if not space or not name or (facts_text and not facts_text.endswith(b";")):
        raise ReplyError(f"the server sent no entry: {line[:60]!r}")
    facts = {}
    for fact in facts_text.decode("ascii", "replace").split(";"):
        key, equals, value = fact.partition("=")
        if equals:
            facts[key.lower()] = value
    return facts, name
