"""How the chat's datagrams are sealed: ChaCha20-Poly1305 (RFC 8439), alike for both sides.

The one rule: a datagram's number is its nonce, so no key ever seals two datagrams with the same one.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from homeport.protocols.chat.session import Crypto

_NONCE_BYTES = 12


def crypto_of(own_key: bytes, their_key: bytes, random: Callable[[int], bytes]) -> Crypto:
    """What seals with `own_key` and opens with `their_key`, of 32 bytes each; `random` is as in Crypto."""
    own, theirs = ChaCha20Poly1305(own_key), ChaCha20Poly1305(their_key)

    def seal(number: int, plain: bytes, header: bytes) -> bytes:
        return own.encrypt(number.to_bytes(_NONCE_BYTES, "big"), plain, header)

    def opened(number: int, sealed: bytes, header: bytes) -> bytes | None:
        try:
            return theirs.decrypt(number.to_bytes(_NONCE_BYTES, "big"), sealed, header)
        except InvalidTag:
            return None

    return Crypto(seal, opened, random)
