"""SCRAM against the vectors of RFC 7677 and of docs/hptp-vectors.json, from both sides."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.hptp.vectors import VECTORS

from homeport.core.scram import ScramVerifier
from homeport.protocols.scram import (
    MAX_ITERATIONS,
    Binding,
    ClientFinal,
    ClientFirst,
    ClientKeys,
    ScramClient,
    ScramMalformed,
    ScramRefused,
    ServerFinal,
    ServerFirst,
    auth_message,
)
from homeport.protocols.secret_text import prepared

Vector = dict[str, Any]
READERS = {1: ClientFirst.read, 2: ServerFirst.read, 3: ClientFinal.read, 4: ServerFinal.read}


def by_name(vector: Vector) -> str:
    return str(vector["name"])


def client_of(vector: Vector) -> ScramClient:
    data = vector["binding_hex"]
    binding = None if data is None else Binding("tls-server-end-point", bytes.fromhex(data))
    return ScramClient(vector["user"], vector["client_nonce"], binding)


def keys_of(vector: Vector) -> Any:
    return lambda salt, iterations: ClientKeys.derive(prepared(vector["password"]), salt, iterations)


@pytest.mark.parametrize("vector", VECTORS["scram"], ids=by_name)
def test_the_client_says_what_the_vector_says(vector: Vector) -> None:
    client = client_of(vector)
    first, server_first, final, server_final = vector["messages"]
    assert client.first() == first
    assert client.answer(server_first, keys_of(vector), 4096) == final
    client.verify(server_final)


@pytest.mark.parametrize("vector", VECTORS["scram"], ids=by_name)
def test_the_server_reads_and_answers_what_the_vector_says(vector: Vector) -> None:
    texts = vector["messages"]
    salt, binding = b64decode(vector["salt_base64"]), bytes.fromhex(vector["binding_hex"] or "")
    verifier = ScramVerifier.make(prepared(vector["password"]), vector["iterations"], salt)
    first = ClientFirst.read(texts[0])
    assert (first.user, first.nonce, str(first)) == (vector["user"], vector["client_nonce"], texts[0])
    assert first.binding == ("tls-server-end-point" if vector["binding_hex"] else None)
    server = ServerFirst.make(first.nonce + vector["server_nonce"], salt, vector["iterations"])
    assert str(server) == texts[1]
    final = ClientFinal.read(texts[2])
    message = auth_message(first, server, final.without_proof)
    assert final.answers(first, server, binding)
    assert verifier.accepts(message, final.proof)
    assert str(ServerFinal(verifier.server_signature(message))) == texts[3]


def test_what_does_not_belong_together_is_no_answer() -> None:
    vector = VECTORS["scram"][1]
    first, server = ClientFirst.read(vector["messages"][0]), ServerFirst.read(vector["messages"][1])
    final, binding = ClientFinal.read(vector["messages"][2]), bytes.fromhex(vector["binding_hex"])
    assert final.answers(first, server, binding)
    assert not final.answers(first, server, bytes(32)), "another server's certificate"
    assert not final.answers(ClientFirst.read(f"n,,{first.bare}"), server, binding), "a channel binding taken away"
    assert not final.answers(first, ServerFirst.make(server.nonce + "x", server.salt, 4096), binding), "a replay"


@pytest.mark.parametrize("vector", VECTORS["scram_refused"], ids=lambda vector: f"{vector['message']}: {vector['why']}")
def test_malformed_messages_are_refused(vector: Vector) -> None:
    with pytest.raises(ScramMalformed):
        READERS[vector["message"]](vector["text"])


def test_a_message_without_end_is_refused() -> None:
    with pytest.raises(ScramMalformed, match="no client-first message"):
        ClientFirst.read("n,,n=user,r=" + "a" * 4096)


@pytest.mark.parametrize(
    ("text", "least", "complaint"),
    [
        ("r=other,s=QUJD,i=4096", 4096, "does not belong"),
        ("r=abcdef,s=QUJD,i=4096", 4096, "does not belong"),
        ("r=abcdefg,s=QUJD,i=4095", 1, "4095 rounds"),
        ("r=abcdefg,s=QUJD,i=599999", 600_000, "599999 rounds"),
        (f"r=abcdefg,s=QUJD,i={MAX_ITERATIONS + 1}", 4096, "10000001 rounds"),
    ],
)
def test_no_proof_leaves_for_a_server_that_asks_wrongly(text: str, least: int, complaint: str) -> None:
    asked: list[int] = []

    def keys(salt: bytes, iterations: int) -> ClientKeys:
        asked.append(iterations)
        return ClientKeys(b"", b"")

    with pytest.raises(ScramRefused, match=complaint):
        ScramClient("alice", "abcdef").answer(text, keys, least)
    assert asked == []


def test_a_server_that_cannot_sign_is_refused() -> None:
    vector = VECTORS["scram"][0]
    client = client_of(vector)
    client.answer(vector["messages"][1], keys_of(vector), 4096)
    with pytest.raises(ScramRefused, match="not who it says"):
        client.verify("v=AAAA")
    with pytest.raises(ScramRefused, match="the server refuses: invalid-proof"):
        client.verify(str(ServerFinal(error="invalid-proof")))
    with pytest.raises(ScramRefused, match="not who it says"):
        client_of(vector).verify(vector["messages"][3])


def test_neither_keys_nor_signatures_show_themselves() -> None:
    assert "secret" not in repr(ClientKeys(b"secret", b"secret"))


@given(st.sampled_from(list(READERS.values())), st.text(max_size=60))
def test_any_text_is_read_or_refused(read: Any, text: str) -> None:
    try:
        read(text)
    except ScramMalformed:
        return
