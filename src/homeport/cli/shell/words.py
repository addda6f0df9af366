r"""How a typed line becomes commands and words, and how a name is written so that it comes back whole.

The rule: what is quoted, by '...', "..." or a backslash, stands for itself. Pure; completion asks the same code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from homeport.client.errors import UsageError

_SPACE = " \t"
_ENDS = ";&\n"
_NEEDS_ESCAPE = re.compile(r"""[\s'"\\;&#!*?\[\]]""")
_MAGIC = "*?["


@dataclass(slots=True)
class Word:
    """A word as meant, and where it begins in the line. `is_pattern`: it holds `*`, `?` or `[` that was not quoted.

    `quote` is the quote that is still open at the end of the line, or empty.
    """

    text: str = ""
    start: int = 0
    is_pattern: bool = False
    quote: str = ""


@dataclass(slots=True)
class Line:
    """One command. `in_background` when it ends with `&`; `local` is what follows a `!` at its beginning."""

    words: list[Word] = field(default_factory=list)
    in_background: bool = False
    local: str | None = None


def split(text: str) -> list[Line]:
    """The commands of a line, separated by `;` or `&`; a word that begins with `#` ends the line.

    Raises UsageError for a quote that never ends.
    """
    lines = list(_Reader(text).lines())
    for line in lines:
        for word in line.words:
            if word.quote:
                raise UsageError(f"the quote {word.quote} is never closed")
    return [line for line in lines if line.words or line.local is not None]


def unfinished(text: str) -> Line:
    """The last command of a line that is still being typed; its last word is empty after a space."""
    line = list(_Reader(text).lines())[-1]
    if line.local is None and (not text or (text[-1] in _SPACE + _ENDS and not _is_open(line, text))):
        line.words.append(Word(start=len(text)))
    return line


def escaped(name: str, quote: str = "") -> str:
    """`name` so that `split` gives it back, within an open `quote` or none."""
    if quote == "'":
        return name.replace("'", "'\\''")
    if quote == '"':
        return re.sub(r'(["\\])', r"\\\1", name)
    return _NEEDS_ESCAPE.sub(lambda found: "\\" + found[0], name)


def _is_open(line: Line, text: str) -> bool:
    """Whether the space at the end belongs to the last word."""
    if not line.words:
        return False
    word = line.words[-1]
    return bool(word.quote) or word.text.endswith(text[-1])


class _Reader:
    """Reads a line character by character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def lines(self) -> Iterator[Line]:
        """At least one, maybe empty."""
        while True:
            line, end = self._line()
            line.in_background = end == "&"
            yield line
            if not end:
                return

    def _line(self) -> tuple[Line, str]:
        """A command, and the character that ended it."""
        line = Line()
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in _ENDS:
                self._at += 1
                return line, character
            if character == "#":
                self._skip_comment()
            elif character == "!" and not line.words:
                line.local = self._text[self._at + 1 :].strip()
                self._at = len(self._text)
            elif character in _SPACE:
                self._at += 1
            else:
                line.words.append(self._word())
        return line, ""

    def _skip_comment(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _word(self) -> Word:
        word = Word(start=self._at)
        while self._at < len(self._text):
            character = self._text[self._at]
            if word.quote == "" and character in _SPACE + _ENDS:
                break
            self._at += 1
            self._take(word, character)
        return word

    def _take(self, word: Word, character: str) -> None:
        if character == word.quote:
            word.quote = ""
        elif word.quote == "" and character in "'\"":
            word.quote = character
        elif character == "\\" and word.quote != "'" and self._at < len(self._text):
            word.text += self._after_backslash(word.quote)
        else:
            word.is_pattern = word.is_pattern or (word.quote == "" and character in _MAGIC)
            word.text += character

    def _after_backslash(self, quote: str) -> str:
        character = self._text[self._at]
        self._at += 1
        return character if quote == "" or character in '"\\' else "\\" + character
