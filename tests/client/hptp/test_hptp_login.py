"""Coming in: who proves what to whom, what is remembered, and what a server that lies gets to hear."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from tests.client.hptp.conftest import Enter
from tests.client.hptp.fake_hptp_server import (
    FakeHptpServer,
    HptpScript,
    certificate,
    serving,
)
from tests.client.hptp.middle import Middle

from homeport.client import errors
from homeport.client.fingerprint import fingerprint_of
from homeport.client.hptp.login import Token
from homeport.client.hptp.tokens import make_token, revoke_token
from homeport.client.trust import KnownHosts, Trust
from homeport.protocols.scram import ClientFinal, ClientFirst, ServerFirst


@pytest.fixture
def middle(server: FakeHptpServer) -> Iterator[Middle]:
    with Middle(server.port) as running:
        yield running


def test_first_contact_asks_nobody_and_remembers_the_key(
    server: FakeHptpServer, enter: Enter, trust: Trust, script: HptpScript
) -> None:
    enter()
    assert trust.known.fingerprint_of(f"hp://127.0.0.1:{server.port}") == fingerprint_of(script.certificate)


def test_a_renewed_certificate_proves_itself(
    server: FakeHptpServer, enter: Enter, trust: Trust, script: HptpScript
) -> None:
    enter().close()
    script.context, script.certificate = certificate("renewed")
    enter()
    assert trust.known.fingerprint_of(f"hp://127.0.0.1:{server.port}") == fingerprint_of(script.certificate)


def test_a_fingerprint_that_was_given_is_the_only_one(enter: Enter, tmp_path: Path, script: HptpScript) -> None:
    known = KnownHosts(tmp_path / "known_hosts.toml")
    with pytest.raises(errors.IdentityChanged, match="shows another key than the one that was given"):
        enter(trusting=Trust(known, "SHA256:" + "0" * 64))
    assert script.proofs == []
    enter(trusting=Trust(known, fingerprint_of(script.certificate)))


def test_a_wrong_password_is_refused_and_nothing_is_remembered(enter: Enter, trust: Trust) -> None:
    with pytest.raises(errors.LoginFailed, match="cannot log in: the server says: wrong name or password"):
        enter("pen")
    assert trust.known.all() == {}


@pytest.mark.parametrize("password", ["", "a\tb", "x" * 1025])
def test_what_can_be_no_password_is_not_tried(enter: Enter, script: HptpScript, password: str) -> None:
    with pytest.raises(errors.UsageError, match="no such password can be: the password"):
        enter(password)
    assert script.proofs == []


# --- a server that lies ---


@pytest.mark.parametrize(
    ("final", "complaint"),
    [
        ("v=" + "A" * 43 + "=", "it is not who it says it is"),
        ("e=other-error", "the server refuses: other-error"),
        ("v", "no server-final message"),
    ],
)
def test_a_server_without_the_verifier_is_left(
    enter: Enter, trust: Trust, script: HptpScript, final: str, complaint: str
) -> None:
    script.final = lambda _: final
    with pytest.raises(errors.ProtocolViolation, match=f"the server did not prove itself: .*{complaint}"):
        enter()
    assert script.asked == []
    assert trust.known.all() == {}


@pytest.mark.parametrize("iterations", [4096, 599_999])
def test_a_server_that_asks_for_fewer_rounds_gets_no_proof(enter: Enter, script: HptpScript, iterations: int) -> None:
    script.iterations = iterations
    with pytest.raises(errors.ProtocolViolation, match=f"asks for {iterations} rounds of hashing, which is not safe"):
        enter()
    assert script.proofs == []


def test_a_port_that_speaks_something_else(server: FakeHptpServer, enter: Enter, script: HptpScript) -> None:
    script.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(script.context)
    with pytest.raises(errors.Incompatible, match="speaks TLS, but not HPTP; is this the right port"):
        enter()
    script.context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(errors.ConnectionFailed, match="the TLS handshake failed"):
        enter()


def test_nobody_there(enter: Enter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(
        errors.ConnectionFailed, match=rf"cannot connect to 127\.0\.0\.1 port {port}: Connection refused"
    ):
        enter(port=port)


# --- device tokens ---


def test_a_token_stands_in_for_the_password_until_it_is_revoked(enter: Enter, script: HptpScript) -> None:
    token = make_token(enter())
    assert token is not None
    assert token.secret not in repr(token)
    assert Token.of(token.kept()) == token
    assert Token.of("a b c") is None
    by_token = enter(token.kept())
    assert by_token.stat("/").is_directory
    assert not revoke_token(by_token, "a password")
    assert revoke_token(by_token, token.kept())
    by_token.close()
    with pytest.raises(errors.LoginFailed, match="with the token that `homeport login` has kept"):
        enter(token.kept())


def test_a_token_that_is_none_is_refused(enter: Enter, script: HptpScript) -> None:
    script.answers["token.create"] = lambda session, request: session.engine.send_result(request.stream, {"id": "a b"})
    with pytest.raises(errors.ProtocolViolation, match="made no token"):
        make_token(enter())


# --- somebody in between ---


def test_a_man_in_the_middle_is_refused_at_first_contact(
    enter: Enter, middle: Middle, trust: Trust, script: HptpScript
) -> None:
    """He has a certificate of his own and relays every byte. Nobody vouches for anybody, and no key is known."""
    with pytest.raises(errors.LoginFailed):
        enter(port=middle.port)
    assert middle.relayed > 0
    assert script.asked == [], "no request was made"
    assert trust.known.all() == {}
    assert enter().stat("/").is_directory, "the password was right"


def test_what_the_middle_hears_opens_nothing(enter: Enter, middle: Middle, script: HptpScript) -> None:
    """A proof is good for one exchange and one certificate. What is left to him is guessing at 600,000 rounds each.

    Neither the stored key, nor the server key, nor the client key can be computed from what passed through his hands
    without the password: the proof is the client key, masked by an HMAC under the stored key.
    """
    with pytest.raises(errors.LoginFailed):
        enter(port=middle.port)
    heard = b"".join(middle.heard).decode(errors="replace")
    assert "pencil" not in heard
    assert script.proofs[0] in heard
    proof = b64decode(script.proofs[0].rpartition(",p=")[2])
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"0123456789abcdef", 600_000)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    for secret in (client_key, stored_key, server_key, salted):
        assert secret not in proof
        assert secret.hex() not in heard
    assert hashlib.sha256(proof).digest() != stored_key


def test_a_middle_that_answers_himself_cannot_sign(enter: Enter, trust: Trust) -> None:
    """He pretends to be the server, with a salt of his own choosing: he has to sign, and cannot."""
    with serving(replace(HptpScript(), password="guess", final=lambda _: "v=" + "A" * 43 + "=")) as liar:
        liar.script.context, liar.script.certificate = certificate("liar")
        with pytest.raises(errors.ClientError):
            enter(port=liar.port)
        assert liar.script.asked == []
    assert trust.known.all() == {}


def test_a_replayed_proof_opens_nothing(enter: Enter, server: FakeHptpServer, script: HptpScript) -> None:
    """The server's half of the nonce is fresh, and the proof covers both."""
    enter()
    final = ClientFinal.read(script.proofs[0])
    first = ClientFirst.read("p=tls-server-end-point,,n=alice,r=" + final.nonce.removesuffix("server"))
    assert not final.answers(first, ServerFirst.make(first.nonce + "other", b"salt", 4096), final.channel[23:])
