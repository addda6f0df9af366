"""File names on the wire: which charset a session speaks, and how what it cannot speak is spelled.

The charset: a session begins able to take UTF-8. `OPTS UTF8 ON` fixes UTF-8, `OFF` the legacy charset; without either
the first argument with a byte above 127 decides, strict UTF-8 first, and the decision stays. A charset forced by the
account or the client's address goes before all. Bytes that fit no charset are carried as surrogates (PEP 383) and
stay as they are.

The alias: characters that would break a line or a terminal (controls, U+2028, U+2029), bytes that are no text, and
characters that the legacy charset lacks are sent as `%{HEX}`, the code point in upper-case hexadecimal: a name with a
line feed in it is listed as `a%{A}b`. Such a spelling names the same file when it comes back, in every session. A `%`
before what would be read as an alias is itself sent as `%{25}`, so that no two names look the same. Printable ASCII
needs no alias, and `%{41}` is just those five characters. The one rule: what `encode` gives is one line, and
`decode_argument` of it is the name again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

UTF8 = "utf-8"
_ARE_UTF8 = (None, UTF8)  # while it is undecided, UTF-8 is sent

_RISKY = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ALIAS = re.compile(r"%\{([1-9A-F][0-9A-F]{0,5}|0)\}")
_CONTROLS = bytes((*range(0x20), 0x7F))
_RISKY_UTF8 = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")  # the rest of the controls, and line separators
_RISKY_ASCII = _CONTROLS + b"%"
_MARK_RISKY = bytes.maketrans(_RISKY_ASCII, b"?" * len(_RISKY_ASCII))
_TELNET = 0xFF  # IAC: a client might take it, and what follows, out of the line


def plain_bytes(text: str) -> bytes | None:
    """The bytes of printable ASCII, the same in every charset; None where a charset, or an alias, has a say."""
    if text.isascii() and (raw := text.encode()).translate(_MARK_RISKY) == raw:  # the quickest look at every byte
        return raw
    return None


class Names:
    """One session's charset. `charset` is None until it is decided; what is sent meanwhile is UTF-8."""

    __slots__ = ("_charset", "_forced", "_legacy")

    def __init__(self, legacy: str, forced: str | None = None) -> None:
        self._legacy = legacy
        self._forced = forced
        self._charset = forced

    @property
    def charset(self) -> str | None:
        """`utf-8`, the legacy charset, or None while undecided."""
        return self._charset

    def force(self, charset: str | None) -> None:
        """The account's own charset, from now on and whatever the client asks for; None changes nothing."""
        if charset is not None:
            self._forced = self._charset = charset

    def choose(self, *, utf8: bool) -> None:
        """OPTS UTF8 ON or OFF; a forced charset stays."""
        self._charset = self._forced or (UTF8 if utf8 else self._legacy)

    def decode_argument(self, raw: bytes) -> str:
        """The text of an argument that holds file names, aliases resolved."""
        text = raw.decode("ascii") if raw.isascii() else self._decode(raw)
        return _ALIAS.sub(_resolve, text) if "%{" in text else text

    def decode_text(self, raw: bytes) -> str:
        """The text of any other argument, such as a password. The first one that is not ASCII decides the charset."""
        return raw.decode("ascii") if raw.isascii() else self._decode(raw)

    def _decode(self, raw: bytes) -> str:
        for charset in (self._charset,) if self._charset else (UTF8, self._legacy):
            try:
                text = raw.decode(charset)
            except UnicodeDecodeError:
                continue
            self._charset = charset
            return text
        return raw.decode(UTF8, "surrogateescape")

    def encode(self, text: str) -> bytes:
        """The bytes of one line, without its end: never a control character, never `?` for what does not fit."""
        if text.isascii() and (plain := text.encode()).translate(_MARK_RISKY) == plain:
            return plain  # as `plain_bytes`, without the call: most replies end here
        raw = self._encode(text, 0)
        return self._spell(text) if raw is None else raw

    def encode_lines(self, lines: Sequence[str]) -> bytes:
        """Many lines at once, each ended by CRLF: the fast way for listings."""
        text = "\r\n".join(lines)
        raw = self._encode(text, 2 * len(lines) - 2)  # which fits no text when there are no lines
        if raw is not None:
            return raw + b"\r\n"
        return b"".join([self.encode(line) + b"\r\n" for line in lines])

    def _encode(self, text: str, controls: int) -> bytes | None:
        """The bytes of text that needs no alias, and in which these many control characters are ends of lines."""
        raw = _without_risk(text, controls)
        if raw is None or self._charset in _ARE_UTF8 or text.isascii():
            return raw
        return self._try(text)

    def _try(self, text: str) -> bytes | None:
        """The bytes of text that needs no alias; None when it does."""
        charset = self._charset or UTF8
        try:
            raw = text.encode(charset)
            # Some old charsets have one byte for two characters (Shift_JIS: backslash and yen), or do not read all that
            # they write.
            returns = charset == UTF8 or raw.decode(charset) == text
        except UnicodeError:
            return None
        return raw if returns and _TELNET not in raw else None

    def _spell(self, text: str) -> bytes:
        parts = []
        for index, char in enumerate(text):
            raw = None
            if char == "%":
                match = _ALIAS.match(text, index)
                raw = b"%" if match is None or _resolve(match) == match[0] else None
            elif "\udc80" <= char < "\udcff" and self._charset == UTF8:
                raw = char.encode(UTF8, "surrogateescape")
            elif _RISKY.match(char) is None:
                raw = self._try(char)
            parts.append(b"%%{%X}" % ord(char) if raw is None else raw)
        return b"".join(parts)


def _without_risk(text: str, controls: int) -> bytes | None:
    """The UTF-8 of `text` if there is nothing in it that needs an alias, and no control characters but these many.

    The same as a search for `_RISKY` and `%{`, ten times as fast: it looks at bytes, and closer only where it must.
    """
    try:
        raw = text.encode(UTF8)
    except UnicodeEncodeError:
        return None
    if len(raw) - len(raw.translate(None, _CONTROLS)) != controls or (b"%" in raw and b"%{" in raw):
        return None
    # A search for one byte is quick, one for two is not.
    if (b"\xc2" in raw or (b"\xe2" in raw and b"\xe2\x80" in raw)) and _RISKY_UTF8.search(raw) is not None:
        return None
    return raw


def _resolve(alias: re.Match[str]) -> str:
    """The character that an alias stands for; the alias itself when it stands for none."""
    code = int(alias[1], 16)
    if code > 0x10FFFF or (0x20 <= code < 0x7F and code != ord("%")):
        return alias[0]
    return chr(code)
