"""`tls-server-end-point` (RFC 5929 section 4): the digest of a server's certificate, to which a proof is bound.

The one rule: the hash is that of the certificate's own signature, SHA-256 in place of MD5 and SHA-1. Signatures without
a hash of their own (Ed25519, Ed448), which the RFC leaves open, are taken with SHA-256.
"""

from __future__ import annotations

import hashlib

TYPE = "tls-server-end-point"
_SEQUENCE, _OID, _CONTEXT_0 = 0x30, 0x06, 0xA0
_PSS = bytes.fromhex("2a864886f70d01010a")

_HASHES = {
    bytes.fromhex(oid): name
    for oid, name in {
        "2a864886f70d01010c": "sha384",  # RSA
        "2a864886f70d01010d": "sha512",
        "2a864886f70d01010e": "sha224",
        "2a8648ce3d040301": "sha224",  # ECDSA
        "2a8648ce3d040303": "sha384",
        "2a8648ce3d040304": "sha512",
        "608648016503040202": "sha384",  # the hashes themselves, as RSASSA-PSS names them
        "608648016503040203": "sha512",
        "608648016503040204": "sha224",
    }.items()
}


def server_end_point(certificate: bytes) -> bytes:
    """The binding of a certificate in DER. Raises ValueError when it is none."""
    try:
        _, inside, _ = _element(certificate, 0, _SEQUENCE)
        _, _, behind = _element(inside, 0, _SEQUENCE)  # what is signed
        _, algorithm, _ = _element(inside, behind, _SEQUENCE)
        _, oid, behind = _element(algorithm, 0, _OID)
        if oid == _PSS:
            oid = _hash_of_pss(algorithm[behind:])
    except IndexError:
        raise ValueError("no certificate in DER") from None
    return hashlib.new(_HASHES.get(oid, "sha256"), certificate).digest()


def _hash_of_pss(parameters: bytes) -> bytes:
    """RFC 4055 section 3.1: hashAlgorithm is the first member, SHA-1 when it is left out."""
    _, members, _ = _element(parameters, 0, _SEQUENCE)
    if not members or members[0] != _CONTEXT_0:
        return b""
    _, wrapped, _ = _element(members, 0, _CONTEXT_0)
    _, algorithm, _ = _element(wrapped, 0, _SEQUENCE)
    return _element(algorithm, 0, _OID)[1]


def _element(data: bytes, at: int, tag: int) -> tuple[int, bytes, int]:
    """Tag, content and end of the DER element at `at`, which has this tag. Raises IndexError, ValueError."""
    if data[at] != tag:
        raise ValueError("no certificate in DER")
    length, at = data[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length, at = int.from_bytes(data[at : at + octets], "big"), at + octets
    if at + length > len(data):
        raise ValueError("no certificate in DER")
    return tag, data[at : at + length], at + length
