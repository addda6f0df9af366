"""Passwords: which are possible, the two verifiers that are stored instead of them, and the bounded checking.

The one rule: whatever is wrong, a refusal costs one Argon2id computation, so that its time tells nothing.

Every protocol hands the password in as text, and one profile decides which texts are the same password: RFC 8265
OpaqueString (every space is U+0020, Unicode NFC, no control characters), as a user meets it who types the same word on
two keyboards. Nothing is cut: a password longer than 1024 bytes is refused.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
import unicodedata
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from argon2 import exceptions, low_level

from homeport.core.errors import StateUnavailable
from homeport.core.scram import ScramVerifier

MAX_PASSWORD_BYTES = 1024
_SALT_BYTES = 16
_HASH_BYTES = 32
_SPACES = "Zs"
_REFUSED = ("Cc", "Cs")  # control characters; halves of surrogate pairs, which stand for bytes that are no UTF-8


@dataclass(frozen=True, slots=True)
class HashCost:
    """What one guess costs an attacker. The defaults are RFC 9106's second choice and OWASP's for PBKDF2."""

    argon2_passes: int = 3
    argon2_memory_kib: int = 65536
    argon2_lanes: int = 4
    scram_iterations: int = 600_000


@dataclass(frozen=True, slots=True)
class Verifiers:
    """What the database holds of a password: an Argon2id PHC string and a SCRAM-SHA-256 verifier."""

    argon2: str = field(repr=False)
    scram_sha256: str = field(repr=False)


def prepared(password: str) -> bytes:
    """The bytes that are hashed: RFC 8265 section 4.2 (OpaqueString), in UTF-8.

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


def make_verifiers(password: str, cost: HashCost) -> Verifiers:
    """Both verifiers with fresh salts; takes about 0.3 s at the default cost.

    Raises ValueError as `prepared` does.
    """
    secret = prepared(password)
    argon2 = low_level.hash_secret(
        secret,
        secrets.token_bytes(_SALT_BYTES),
        cost.argon2_passes,
        cost.argon2_memory_kib,
        cost.argon2_lanes,
        _HASH_BYTES,
        low_level.Type.ID,
    )
    return Verifiers(argon2.decode(), str(ScramVerifier.make(secret, cost.scram_iterations)))


def check_argon2(verifier: str, secret: bytes) -> bool:
    """Whether `secret` (from `prepared`) is the password of an Argon2id verifier.

    Raises StateUnavailable when the verifier is damaged or there is no memory to compute: neither is a wrong password.
    """
    try:
        return low_level.verify_secret(verifier.encode(), secret, low_level.Type.ID)
    except exceptions.VerifyMismatchError:
        return False
    except (exceptions.VerificationError, exceptions.HashingError) as error:
        raise StateUnavailable(f"a password cannot be checked ({error})") from error


class PasswordVerifier:
    """Checks passwords, at most `max_parallel` at once: each takes tens of MiB and a core.

    Passwords that were right are remembered for `cache_ttl_s` seconds, at most `cache_size` of them, so that a client
    with ten connections pays once. What is kept is an HMAC under a key of this process, never the password; it covers
    the Argon2id verifier, so a changed password is forgotten at once.
    """

    def __init__(
        self,
        max_parallel: int,
        *,
        cost: HashCost | None = None,
        cache_ttl_s: float = 60.0,
        cache_size: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = threading.BoundedSemaphore(max_parallel)
        self._nobody = _verifier_of_nobody(cost or HashCost())
        self._ttl_s = cache_ttl_s
        self._size = cache_size
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, float] = OrderedDict()  # HMAC -> when it is forgotten

    def verify(self, verifiers: Verifiers | None, name: str, password: str, *, cached: bool = True) -> bool:
        """Whether the password is right; None for an unknown name costs the same as a wrong password. Blocks.

        `cached=False` is for an account that will be refused anyway: a quick answer would tell that the password
        is right. Raises StateUnavailable when it cannot be found out.
        """
        try:
            secret = prepared(password)
        except ValueError:
            verifiers, secret = None, b""
        seal = self._seal(verifiers, name, secret)
        if cached and self._remembers(seal):
            return True
        with self._slots:
            if cached and self._remembers(seal):  # another connection of the same client computed it meanwhile
                return True
            right = check_argon2(verifiers.argon2 if verifiers else self._nobody, secret)
        if cached and right:
            self._remember(seal)
        return right

    def _seal(self, verifiers: Verifiers | None, name: str, secret: bytes) -> bytes:
        parts = (name.encode(errors="surrogatepass"), verifiers.argon2.encode() if verifiers else b"", secret)
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, message, "sha256")

    def _remembers(self, seal: bytes) -> bool:
        with self._lock:
            until = self._known.get(seal)
            if until is None:
                return False
            if until <= self._clock():
                del self._known[seal]
                return False
            self._known.move_to_end(seal)
            return True

    def _remember(self, seal: bytes) -> None:
        with self._lock:
            self._known[seal] = self._clock() + self._ttl_s
            self._known.move_to_end(seal)
            while len(self._known) > self._size:
                self._known.popitem(last=False)


def _verifier_of_nobody(cost: HashCost) -> str:
    """A verifier of full cost that no password fits: its hash is random."""
    salt, digest = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES))
    parameters = f"m={cost.argon2_memory_kib},t={cost.argon2_passes},p={cost.argon2_lanes}"
    return f"$argon2id$v={low_level.ARGON2_VERSION}${parameters}${salt}${digest}"
