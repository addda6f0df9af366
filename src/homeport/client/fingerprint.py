"""The SHA-256 of a certificate's public key, by which a server without a certificate authority is known again.

It covers the SubjectPublicKeyInfo (RFC 5280 section 4.1), so a certificate renewed with the same key stays known. The
few tags of DER that lead there are read by hand: a client that starts fast loads no cryptography library for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from homeport.client.errors import ProtocolViolation, UsageError

PREFIX = "sha256:"
_SEQUENCE = 0x30
_VERSION = 0xA0
# serialNumber, signature, issuer, validity, subject stand before subjectPublicKeyInfo
_FIELDS_BEFORE_KEY = 5


def fingerprint_of(certificate: bytes) -> str:
    """`sha256:` and the hex digest of the public key in a DER certificate. Raises ProtocolViolation."""
    try:
        outer, _ = _element(certificate, 0, _SEQUENCE)
        start, end = _element(certificate, outer, _SEQUENCE)
        if certificate[start] == _VERSION:
            start = _element(certificate, start)[1]
        for _ in range(_FIELDS_BEFORE_KEY):
            start = _element(certificate, start)[1]
        key_end = _element(certificate, start, _SEQUENCE)[1]
        if key_end > end:
            raise IndexError
    except IndexError:
        raise ProtocolViolation("the server's certificate cannot be read") from None
    return PREFIX + hashlib.sha256(certificate[start:key_end]).hexdigest()


def parse_fingerprint(text: str) -> str:
    """A fingerprint as people paste it (hex with or without colons, or base64), in the one form that is compared.

    Raises UsageError.
    """
    value = text.strip()
    bare = value[len(PREFIX) :] if value.lower().startswith(PREFIX) else value
    hexadecimal = bare.replace(":", "").lower()
    if len(hexadecimal) == 64 and all(letter in "0123456789abcdef" for letter in hexadecimal):
        return PREFIX + hexadecimal
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != hashlib.sha256().digest_size:
        raise UsageError(f"{text!r} is no fingerprint; one looks like sha256: and 64 hexadecimal digits")
    return PREFIX + raw.hex()


def _element(der: bytes, at: int, tag: int | None = None) -> tuple[int, int]:
    """Where the content of the element at `at` begins, and where the element ends. Raises IndexError."""
    if tag is not None and der[at] != tag:
        raise IndexError
    length, start = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise IndexError
        start += count
        length = int.from_bytes(der[at + 2 : start], "big")
    if start + length > len(der):
        raise IndexError
    return start, start + length
