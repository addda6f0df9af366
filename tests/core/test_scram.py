"""SCRAM-SHA-256 against the example of RFC 7677 section 3."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest

from homeport.core.scram import ScramVerifier

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
AUTH_MESSAGE = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={NONCE}".encode()
PROOF = b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SIGNATURE = b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
PENCIL = ScramVerifier.make(b"pencil", 4096, SALT)
KEY = b64encode(bytes(32)).decode()


def test_the_example_of_rfc_7677() -> None:
    assert PENCIL.accepts(AUTH_MESSAGE, PROOF)
    assert PENCIL.server_signature(AUTH_MESSAGE) == SIGNATURE


@pytest.mark.parametrize("proof", [b"", PROOF[:-1], PROOF + b"\0", bytes(32), PROOF[:-1] + b"\0"])
def test_other_proofs_are_refused(proof: bytes) -> None:
    assert not PENCIL.accepts(AUTH_MESSAGE, proof)


def test_a_proof_for_other_messages_is_refused() -> None:
    assert not PENCIL.accepts(AUTH_MESSAGE.replace(b"biws", b"eSws"), PROOF)


def test_the_form_is_postgresqls() -> None:
    """As `CREATE ROLE ... PASSWORD 'pencil'` stores it when it draws this salt."""
    text = (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert str(PENCIL) == text
    assert ScramVerifier.parse(text) == PENCIL


def test_only_the_password_fits() -> None:
    assert PENCIL.fits(b"pencil")
    assert not PENCIL.fits(b"pencils")


def test_every_verifier_has_its_own_salt() -> None:
    one, two = (ScramVerifier.make(b"pencil", 10) for _ in range(2))
    assert one.salt != two.salt
    assert len(one.salt) == 16


def test_the_keys_are_not_shown() -> None:
    assert repr(PENCIL) == f"ScramVerifier(iterations=4096, salt={SALT!r})"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pencil",
        f"SCRAM-SHA-1$4096:AAAA${KEY}:{KEY}",
        f"SCRAM-SHA-256$0:AAAA${KEY}:{KEY}",
        f"SCRAM-SHA-256$4096:${KEY}:{KEY}",
        f"SCRAM-SHA-256$4096:AAA${KEY}:{KEY}",
        f"SCRAM-SHA-256$4096:AAAA$AAAA:{KEY}",
        f"SCRAM-SHA-256$4096:AAAA${KEY}:AAAA",
        f"SCRAM-SHA-256$9999999999:AAAA${KEY}:{KEY}",
        f"SCRAM-SHA-256$4096:AAAA${KEY}:{KEY}\n",
    ],
)
def test_other_texts_are_no_verifiers(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a SCRAM-SHA-256 verifier$"):
        ScramVerifier.parse(text)
