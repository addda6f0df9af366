"""The self-signed certificate of the first run, and the fingerprints by which people know a server.

One rule: a key is never on the disk with any other mode than 0600, not for a moment.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=3650)
_CLOCK_SKEW = timedelta(days=1)  # clients whose clock is behind
_COMMON_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What people compare: both SHA-256 in hexadecimal, and when it ends."""

    key_sha256: str
    certificate_sha256: str
    not_after: datetime
    names: tuple[str, ...]


def facts_of(certificate: Path) -> CertificateFacts:
    """The facts of the first certificate in the PEM file. Raises OSError or ValueError."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    spki = found.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return CertificateFacts(
        key_sha256=hashlib.sha256(spki).hexdigest(),
        certificate_sha256=found.fingerprint(hashes.SHA256()).hex(),
        not_after=found.not_valid_after_utc,
        names=_names_in(found),
    )


def _names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)


def make_self_signed(
    certificate: Path, key: Path, addresses: Iterable[str] = (), *, now: datetime | None = None
) -> None:
    """Write a P-256 key and a certificate for this machine's names and `addresses`, valid for ten years.

    Raises OSError; a file that exists is never replaced.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    names = certificate_names(addresses)
    built = _build(private, names, now or datetime.now(UTC))
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, pem, 0o600)
    _write(certificate, built.public_bytes(serialization.Encoding.PEM), 0o644)


def certificate_names(addresses: Iterable[str] = ()) -> list[x509.GeneralName]:
    """localhost, this machine's names, the loopback addresses and `addresses`, each once."""
    hosts = dict.fromkeys(["localhost", socket.gethostname(), socket.getfqdn()])
    found: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts if _is_dns_name(host)]
    loopback = ["127.0.0.1", "::1"]
    chosen = dict.fromkeys(ipaddress.ip_address(address) for address in [*loopback, *addresses])
    return [*found, *(x509.IPAddress(address) for address in chosen if not address.is_unspecified)]


def _is_dns_name(host: str) -> bool:
    return host.isascii() and 0 < len(host) <= 253 and all(part.replace("-", "").isalnum() for part in host.split("."))


def _build(private: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName], now: datetime) -> x509.Certificate:
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"Homeport on {socket.gethostname()}"[:_COMMON_NAME_LENGTH])]
    )
    public = private.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return builder.sign(private, hashes.SHA256())


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
