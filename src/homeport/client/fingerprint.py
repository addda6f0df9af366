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
_UTC_TIME = 0x17
_VERSION = b"\xa0"
# Fields of the signed part after the optional version: serialNumber, signature, issuer, validity, subject, key.
_VALIDITY = 3
_KEY = 5


def fingerprint_of(certificate: bytes) -> str:
    """`sha256:` and the hex digest of the public key in a DER certificate. Raises ProtocolViolation."""
    start, end = _field(certificate, _KEY)
    return PREFIX + hashlib.sha256(certificate[start:end]).hexdigest()


def expiry_of(certificate: bytes) -> str:
    """The day on which a DER certificate ends, as 2036-11-30. Raises ProtocolViolation."""
    start, end = _field(certificate, _VALIDITY)
    inner, _ = _walk(certificate, start, _SEQUENCE)
    _, not_before_end = _walk(certificate, inner)
    text_start, text_end = _walk(certificate, not_before_end)
    text = certificate[text_start : min(text_end, end)].decode("ascii", "replace")
    if certificate[not_before_end] == _UTC_TIME:  # two digits of the year, RFC 5280 section 4.1.2.5.1
        text = ("19" if text[:2] >= "50" else "20") + text
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}"


def _field(certificate: bytes, number: int) -> tuple[int, int]:
    """Where the field of that number in the signed part begins and ends."""
    outer, _ = _walk(certificate, 0, _SEQUENCE)
    start, signed_end = _walk(certificate, outer, _SEQUENCE)
    if certificate[start : start + 1] == _VERSION:
        start = _walk(certificate, start)[1]
    for _ in range(number):
        start = _walk(certificate, start)[1]
    end = _walk(certificate, start, _SEQUENCE)[1]
    if end > signed_end:
        raise _unreadable()
    return start, end


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


def as_ssh_shows(fingerprint: str) -> str:
    """The same digest as `ssh` and `ssh-keygen -l` show it: `SHA256:` and base64 without its padding."""
    raw = bytes.fromhex(fingerprint.removeprefix(PREFIX))
    return "SHA256:" + base64.b64encode(raw).decode("ascii").rstrip("=")


def _walk(der: bytes, at: int, tag: int | None = None) -> tuple[int, int]:
    """Where the content of the element at `at` begins, and where the element ends. Raises ProtocolViolation."""
    if len(der) < at + 2 or (tag is not None and der[at] != tag):
        raise _unreadable()
    length, start = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        start += count
        length = int.from_bytes(der[at + 2 : start], "big")
        if not 1 <= count <= 4:
            raise _unreadable()
    if start + length > len(der):
        raise _unreadable()
    return start, start + length


def _unreadable() -> ProtocolViolation:
    return ProtocolViolation("the server's certificate cannot be read")
