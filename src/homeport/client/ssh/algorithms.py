"""What is agreed to in a key exchange, best first: nothing with SHA-1, CBC or short groups.

The one rule: fast ciphers come first where they are as strong, since the cipher is most of a transfer's cost here.
"""

from __future__ import annotations

from asyncssh.kex import get_kex_algs

_KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp521",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
)
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
# One family of keys a row: a server may have one of each, and only one of them may be the one that is known.
HOST_KEYS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
SIGNATURES = (
    *(name for family in HOST_KEYS for name in family),
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def key_exchanges() -> list[str]:
    """Those that this machine's cryptography has."""
    known = {name.decode("ascii") for name in get_kex_algs()}
    return [name for name in _KEX if name in known]
