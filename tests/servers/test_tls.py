from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme
from tests.servers.conftest import write_certificate

from homeport.servers.tls import (
    CONTROL_TICKETS,
    CertificateFiles,
    Certificates,
    TlsPump,
    TlsState,
    ready_for_data,
)


class Peer:
    """A TLS client in memory."""

    def __init__(self, authority: trustme.CA, session: ssl.SSLSession | None = None) -> None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        self._set_up(context, session)

    def _set_up(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost", session=session)
        self.context = context

    def try_handshake(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return

    def meet(self, pump: TlsPump) -> None:
        for _ in range(4):
            self.try_handshake()
            pump.receive(self.outgoing.read())
            self.incoming.write(pump.take_output())


@pytest.fixture
def pump(certificate: CertificateFiles) -> TlsPump:
    return TlsPump(Certificates(certificate).context(("ftp",)))


@pytest.fixture
def peer(authority: trustme.CA) -> Peer:
    return Peer(authority)


def test_bytes_go_both_ways(pump: TlsPump, peer: Peer) -> None:
    before = pump.version
    pump.send(b"too early")
    peer.meet(pump)
    assert pump.state is TlsState.OPEN
    assert (before, pump.version) == (None, "TLSv1.3")
    peer.tls.write(b"NOOP\r\n")
    assert pump.receive(peer.outgoing.read()) == b"NOOP\r\n"
    pump.send(b"200 OK\r\n" * 10_000)
    peer.incoming.write(pump.take_output())
    answer = b""
    while len(answer) < 80_000:
        answer += peer.tls.read(65536)
    assert answer == b"200 OK\r\n" * 10_000


def test_the_handshake_may_come_byte_by_byte(pump: TlsPump, peer: Peer) -> None:
    peer.try_handshake()
    for byte in peer.outgoing.read():
        assert pump.state is TlsState.HANDSHAKE
        assert pump.receive(bytes([byte])) == b""
    peer.incoming.write(pump.take_output())
    peer.meet(pump)
    assert pump.state is TlsState.OPEN


def test_a_clean_end_and_a_cut_one_are_two_things(certificate: CertificateFiles, authority: trustme.CA) -> None:
    for clean, state in ((True, TlsState.CLOSED), (False, TlsState.CUT)):
        pump, peer = TlsPump(Certificates(certificate).context()), Peer(authority)
        peer.meet(pump)
        peer.tls.write(b"last")
        if clean:
            with pytest.raises(ssl.SSLWantReadError):
                peer.tls.unwrap()
        assert pump.receive(peer.outgoing.read()) == b"last"
        pump.receive_eof()
        assert pump.state is state
        assert pump.failure == ("" if clean else "the connection ended without close_notify")


def test_our_close_is_heard(pump: TlsPump, peer: Peer) -> None:
    pump.close()
    peer.meet(pump)
    pump.send(b"221 Bye\r\n")
    pump.close()
    peer.incoming.write(pump.take_output())
    assert peer.tls.read(100) == b"221 Bye\r\n"
    assert peer.tls.read(100) == b""
    pump.send(b"more")
    assert pump.state is TlsState.FAILED


def test_an_end_in_the_handshake_is_a_cut(pump: TlsPump) -> None:
    pump.receive_eof()
    assert pump.state is TlsState.CUT


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"USER alice\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70000])
def test_what_is_no_handshake_fails(pump: TlsPump, data: bytes) -> None:
    assert pump.receive(data) == b""
    assert pump.state is TlsState.FAILED
    assert pump.failure


def test_garbage_after_the_handshake_fails(pump: TlsPump, peer: Peer) -> None:
    peer.meet(pump)
    assert pump.receive(b"\x17\x03\x03\x00\x20" + b"x" * 32) == b""
    assert pump.state is TlsState.FAILED


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_f8_versions_before_1_2_are_refused(pump: TlsPump, peer: Peer) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    peer._set_up(old)
    with pytest.raises(ssl.SSLError):
        peer.meet(pump)
    assert pump.state is TlsState.FAILED


def test_a_context_offers_ftp_and_forbids_renegotiation(certificate: CertificateFiles) -> None:
    context = Certificates(certificate).context(("ftp",))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.num_tickets == CONTROL_TICKETS
    ready_for_data(context)
    assert context.num_tickets == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_in_its_own_context_alone(
    certificate: CertificateFiles, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    certificates = Certificates(certificate)
    own, other = certificates.context(), certificates.context()
    first = Peer(authority)
    first.context.maximum_version = version
    first._set_up(first.context)
    pump = TlsPump(own)
    first.meet(pump)
    with pytest.raises(ssl.SSLWantReadError):
        first.tls.read(1)  # the tickets of TLS 1.3
    ready_for_data(own)
    for context, resumed in ((own, True), (own, True), (other, False)):
        again = Peer(authority)
        again._set_up(first.context, first.tls.session)
        data = TlsPump(context)
        again.meet(data)
        assert data._object.session_reused is resumed


def test_a_new_certificate_counts_for_new_connections(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates(write_certificate(authority, tmp_path))

    def served() -> bytes | None:
        pump, peer = TlsPump(certificates.context()), Peer(authority)
        peer.meet(pump)
        return peer.tls.getpeercert(binary_form=True)

    before = served()
    write_certificate(authority, tmp_path)
    assert served() == before
    certificates.reload()
    after = served()
    assert after != before
    (tmp_path / "cert.pem").write_text("half a certificate")
    with pytest.raises(ssl.SSLError):
        certificates.reload()
    assert served() == after


def test_without_memfd_a_file_that_is_gone_serves(
    certificate: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert Certificates(certificate).context().get_ca_certs() == []
