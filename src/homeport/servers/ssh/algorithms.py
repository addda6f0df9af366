"""Which algorithms this server speaks: named one by one, so that a new version of the library adds none by itself.

The one rule: nothing with SHA-1, MD5, CBC, DSA or a group below 3072 bits; key exchange is strict (asyncssh announces
kex-strict-s-v00@openssh.com whenever the peer knows it), which is what stops Terrapin (CVE-2023-48795).
"""

from __future__ import annotations

from collections.abc import Iterable

KEY_EXCHANGE = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "diffie-hellman-group16-sha512",  # the larger groups cost 15 ms of the loop's time, for whoever knocks
)
FAST_ENCRYPTION = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
ENCRYPTION = (*FAST_ENCRYPTION, "chacha20-poly1305@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
COMPRESSION = ("none",)

# Of the keys with which clients prove who they are.
SIGNATURES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


def offer_for(wanted: Iterable[bytes]) -> list[bytes]:
    """The ciphers for a client that offers `wanted`.

    The client's order decides (RFC 4253 section 7.1), and OpenSSH's begins with ChaCha20, which has no help from the
    processor and costs both sides three quarters more. So who can speak AES-GCM is offered nothing else.
    """
    known = set(wanted)
    fast = [name.encode() for name in FAST_ENCRYPTION if name.encode() in known]
    return fast or [name.encode() for name in ENCRYPTION]
