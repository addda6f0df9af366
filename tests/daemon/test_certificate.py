from __future__ import annotations

import hashlib
import os
import socket
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from homeport.daemon.certificate import facts_of, make_self_signed


def make(directory: Path, *addresses: str) -> tuple[Path, Path]:
    pair = directory / "tls" / "cert.pem", directory / "tls" / "key.pem"
    make_self_signed(*pair, addresses, now=datetime(2026, 11, 20, tzinfo=UTC))
    return pair


def test_names_dates_and_modes(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        certificate, key = make(tmp_path, "192.0.2.7", "0.0.0.0", "::", "127.0.0.1")
    finally:
        os.umask(old)
    facts = facts_of(certificate)
    assert {"localhost", "127.0.0.1", "::1", "192.0.2.7"} <= set(facts.names)
    assert "0.0.0.0" not in facts.names
    assert len(set(facts.names)) == len(facts.names)
    assert facts.not_after == datetime(2036, 11, 17, tzinfo=UTC)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(certificate.parent.stat().st_mode) == 0o700


def test_fingerprints(tmp_path: Path) -> None:
    certificate, _ = make(tmp_path)
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii"))
    assert facts_of(certificate).certificate_sha256 == hashlib.sha256(der).hexdigest()
    assert len(facts_of(certificate).key_sha256) == 64


def test_clients_believe_it(tmp_path: Path) -> None:
    certificate, key = make(tmp_path)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate, key)
    client_context = ssl.create_default_context(cafile=str(certificate))
    to_server, from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, from_server, server_side=True)
    client = client_context.wrap_bio(from_server, to_server, server_hostname="localhost")
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() == "TLSv1.3"


def test_what_exists_is_not_replaced(tmp_path: Path) -> None:
    _, key = make(tmp_path)
    before = key.read_bytes()
    with pytest.raises(FileExistsError):
        make(tmp_path)
    assert key.read_bytes() == before


def test_a_host_whose_name_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "no_such name" * 20)
    monkeypatch.setattr(socket, "getfqdn", lambda: "")
    certificate, _ = make(tmp_path)
    assert [name for name in facts_of(certificate).names if not name[0].isdigit() and ":" not in name] == ["localhost"]


def test_a_certificate_without_names(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    built = builder.not_valid_before(datetime(2026, 1, 1)).not_valid_after(datetime(2027, 1, 1))
    path = tmp_path / "cert.pem"
    path.write_bytes(built.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    assert facts_of(path).names == ()
