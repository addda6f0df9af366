"""Numbers and ranges of bytes in commands: REST, ALLO, RANG (draft-bryan-ftp-range).

The one rule: a number is decimal digits, and no larger than a file can be (2^63 - 1).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_OFFSET = 2**63 - 1
_MAX_DIGITS = 30  # leading zeros beyond this are no number anybody means


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.last + 1


def parse_number(text: str) -> int:
    """A whole number from 0 to 2^63 - 1. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS) or int(text) > MAX_OFFSET:
        raise ValueError("a whole number from 0 to 9223372036854775807 is wanted")
    return int(text)


def parse_range(text: str) -> ByteRange | None:
    """`first last`; None for `1 0`, which takes an earlier range back. Raises ValueError."""
    words = text.split()
    if len(words) != 2:
        raise ValueError("two numbers are wanted, the first and the last byte")
    first, last = map(parse_number, words)
    if (first, last) == (1, 0):
        return None
    if first > last:
        raise ValueError("the first byte is behind the last")
    return ByteRange(first, last)
