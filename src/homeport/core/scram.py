"""SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677): what a server stores to check a proof without knowing the password.

The one rule: comparisons take constant time. The text form is RFC 5803's as PostgreSQL writes it:
`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base64.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

_NAME = "SCRAM-SHA-256"
_FORM = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,8}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_SALT_BYTES = 16
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """One password's verifier; `str()` gives the form that is stored, `parse` reads it."""

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def make(cls, secret: bytes, iterations: int, salt: bytes | None = None) -> ScramVerifier:
        """From a prepared password; a fresh salt unless one is given."""
        salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
        salted = hashlib.pbkdf2_hmac("sha256", secret, salt, iterations)
        stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        return cls(iterations, salt, stored_key, hmac.digest(salted, b"Server Key", "sha256"))

    @classmethod
    def parse(cls, text: str) -> ScramVerifier:
        """Raises ValueError when it is not of the form above."""
        form = _FORM.fullmatch(text)
        if form is None:
            raise ValueError("not a SCRAM-SHA-256 verifier")
        try:
            salt, stored_key, server_key = (b64decode(part, validate=True) for part in form.groups()[1:])
        except binascii.Error as error:
            raise ValueError("not a SCRAM-SHA-256 verifier") from error
        if len(stored_key) != _KEY_BYTES or len(server_key) != _KEY_BYTES:
            raise ValueError("not a SCRAM-SHA-256 verifier")
        return cls(int(form[1]), salt, stored_key, server_key)

    def fits(self, secret: bytes) -> bool:
        """Whether this prepared password made the verifier."""
        other = self.make(secret, self.iterations, self.salt)
        return hmac.compare_digest(self.stored_key, other.stored_key)

    def accepts(self, auth_message: bytes, proof: bytes) -> bool:
        """Whether the client that sent ClientProof `proof` knows the password (RFC 5802 section 3)."""
        if len(proof) != _KEY_BYTES:
            return False
        signature = hmac.digest(self.stored_key, auth_message, "sha256")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        return hmac.compare_digest(hashlib.sha256(client_key).digest(), self.stored_key)

    def server_signature(self, auth_message: bytes) -> bytes:
        """What proves to the client that the server holds this verifier (RFC 5802 section 3)."""
        return hmac.digest(self.server_key, auth_message, "sha256")

    def __str__(self) -> str:
        salt, stored, server = (b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return f"{_NAME}${self.iterations}:{salt}${stored}:{server}"
