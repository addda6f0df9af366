"""Which texts are the same password: RFC 8265 OpaqueString, for whoever computes a proof from one.

The one rule: the server's rule (where passwords are stored) and this one are equal, which a test holds them to.
"""

from __future__ import annotations

import unicodedata

MAX_PASSWORD_BYTES = 1024
_SPACES = "Zs"
_REFUSED = ("Cc", "Cs")  # control characters; halves of surrogate pairs, which stand for bytes that are no UTF-8


def prepared(password: str) -> bytes:
    """The bytes that are hashed: every space is U+0020, Unicode NFC, in UTF-8 (RFC 8265 section 4.2).

    Raises ValueError with the reason when it is empty, too long, or has characters that no password can have.
    """
    if not password:
        raise ValueError("the password is empty")
    if len(password) > MAX_PASSWORD_BYTES:
        raise ValueError(f"the password is longer than {MAX_PASSWORD_BYTES} bytes")
    if any(unicodedata.category(character) in _REFUSED for character in password):
        raise ValueError("the password has control characters or is no UTF-8")
    spaced = "".join(" " if unicodedata.category(character) == _SPACES else character for character in password)
    result = unicodedata.normalize("NFC", spaced).encode()
    if len(result) > MAX_PASSWORD_BYTES:
        raise ValueError(f"the password is longer than {MAX_PASSWORD_BYTES} bytes")
    return result
