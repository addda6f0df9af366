"""Fingerprints: the same as a real library's, for every kind of key; broken certificates are refused."""

import base64
import contextlib
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from homeport.client.errors import ProtocolViolation, UsageError
from homeport.client.fingerprint import expiry_of, fingerprint_of, parse_fingerprint

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
KEYS: dict[str, Callable[[], PrivateKey]] = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def certificate_of(kind: str, not_after: datetime | None = None) -> tuple[bytes, bytes]:

    key = KEYS[kind]()
    name = Name([NameAttribute(NameOID.COMMON_NAME, "localhost")])
    not_after = not_after or datetime.now(UTC) + timedelta(1)
    start = not_after - timedelta(9)
    builder = CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(random_serial_number()).not_valid_before(start).not_valid_after(not_after)
    certificate = builder.sign(key, None if kind == "ed25519" else hashes.SHA256())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_bytes(Encoding.DER), spki


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_it_is_the_digest_of_the_public_key(kind: str) -> None:
    certificate, key = certificate_of(kind)
    assert fingerprint_of(certificate) == "sha256:" + hashlib.sha256(key).hexdigest()


def test_a_cut_certificate_is_refused_at_every_byte() -> None:
    certificate, _ = certificate_of("ec")
    for length in range(len(certificate)):
        with pytest.raises(ProtocolViolation, match="the server's certificate cannot be read"):
            fingerprint_of(certificate[:length])


@pytest.mark.parametrize("day", ["2031-05-06", "1999-12-31", "2055-01-02"])
def test_the_day_on_which_it_ends(day: str) -> None:
    certificate, _ = certificate_of("ec", not_after=datetime.fromisoformat(day).replace(tzinfo=UTC))
    assert expiry_of(certificate) == day


@pytest.mark.parametrize(
    "der",
    [
        bytes.fromhex("3080"),
        bytes.fromhex("30850000000001"),
        bytes.fromhex("3103020101"),
        # a key that reaches beyond the part that the certificate signs
        bytes.fromhex("3010 300a 0200 0200 0200 0200 0200 3002 0500"),
    ],
)
def test_a_crooked_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        fingerprint_of(der)


@given(st.binary(max_size=60))
def test_random_bytes_raise_nothing_else(der: bytes) -> None:
    with contextlib.suppress(ProtocolViolation):
        fingerprint_of(b"0" + der)


DIGEST = hashlib.sha256(b"key").digest()


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + DIGEST.hex(),
        "SHA256:" + DIGEST.hex().upper(),
        DIGEST.hex(),
        DIGEST.hex(":").upper(),
        "  sha256:" + base64.b64encode(DIGEST).decode().rstrip("=") + "\n",
        base64.b64encode(DIGEST).decode(),
    ],
)
def test_fingerprints_as_people_paste_them(text: str) -> None:
    assert parse_fingerprint(text) == "sha256:" + DIGEST.hex()


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:abcd", "md5:" + "0" * 64, "ü" * 64])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_fingerprint(text)
    assert str(refusal.value) == f"{text!r} is no fingerprint; one looks like sha256: and 64 hexadecimal digits"
