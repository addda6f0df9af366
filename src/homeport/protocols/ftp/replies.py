"""Replies as data, and the one place where they become bytes.

The one rule: a reply is whole lines. Nothing that a name or a text holds can end a line early or begin a line that
looks like another reply, because the session's encoder escapes control characters and the inner lines of a reply of
several lines begin with a space (RFC 959 section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from homeport.protocols.ftp.names import plain_bytes

CODES = tuple(b"%03d " % code for code in range(600))  # how the last line of a reply begins


@dataclass(frozen=True, slots=True)
class Reply:
    """A code of three digits and one or more lines of text without line ends.

    `wire`: its bytes, where they are the same in every charset; None where the session's encoder has to make them.
    """

    code: int
    lines: tuple[str, ...]
    wire: bytes | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        raw = plain_bytes(self.lines[0]) if len(self.lines) == 1 else None
        object.__setattr__(self, "wire", None if raw is None else CODES[self.code] + raw + b"\r\n")

    @classmethod
    def of(cls, code: int, text: str | Sequence[str]) -> Reply:
        """A reply of one line (`text` is a string) or of several (the first and last carry the code)."""
        return cls(code, (text,) if isinstance(text, str) else tuple(text) or ("",))

    @property
    def is_final(self) -> bool:
        """Whether it ends its command: everything but the 1xx of a transfer that begins."""
        return self.code >= 200

    @property
    def is_agreement(self) -> bool:
        """Whether the command was accepted: 2xx and 3xx."""
        return 200 <= self.code < 400


class Refusal(Exception):
    """A command that cannot be carried out, with the reply that says so."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.reply = Reply(code, (text,))


def render(reply: Reply, encode: Callable[[str], bytes]) -> bytes:
    """The bytes of `reply`; `encode` is the session's `Names.encode`, which escapes control characters."""
    if len(reply.lines) == 1:
        return CODES[reply.code] + encode(reply.lines[0]) + b"\r\n"
    code = b"%03d" % reply.code
    *inner, last = [encode(line) for line in reply.lines]
    parts = [code + b"-" + inner[0], *(b" " + line for line in inner[1:]), code + b" " + last]
    return b"\r\n".join(parts) + b"\r\n"


def quote_path(path: str) -> str:
    """The path in double quotes, its own doubled, as 257 wants it (RFC 959 appendix II)."""
    return '"' + path.replace('"', '""') + '"'
