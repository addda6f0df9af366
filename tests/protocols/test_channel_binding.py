"""tls-server-end-point of real certificates, and of bytes that are none."""

from __future__ import annotations

from base64 import b64decode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.hptp.vectors import VECTORS

from homeport.protocols.channel_binding import server_end_point

CERTIFICATES = VECTORS["tls_server_end_point"]
PSS = bytes.fromhex("06092a864886f70d01010a")


def der(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


@pytest.mark.parametrize("vector", CERTIFICATES, ids=lambda vector: str(vector["signature"]))
def test_the_hash_is_that_of_the_signature(vector: dict[str, Any]) -> None:
    assert server_end_point(b64decode(vector["certificate_base64"])).hex() == vector["binding_hex"]


@pytest.mark.parametrize("parameters", [der(0x30, b""), der(0x30, der(0xA2, b"\x02\x01\x14"))])
def test_pss_without_a_hash_is_sha_1_and_therefore_sha_256(parameters: bytes) -> None:
    certificate = der(0x30, der(0x30, b"") + der(0x30, PSS + parameters))
    assert len(server_end_point(certificate)) == 32


@pytest.mark.parametrize(
    "broken", [b"", b"\x30", b"\x30\x84", b"\x30\x01", b"\x31\x00", b"\x30\x80", b"\x30\x02\x30\x00"]
)
def test_what_is_no_certificate_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="no certificate in DER"):
        server_end_point(broken)


@given(st.binary(max_size=60), st.integers(0, 300))
def test_bytes_are_a_certificate_or_refused(noise: bytes, cut: int) -> None:
    for data in (noise, b64decode(CERTIFICATES[3]["certificate_base64"])[:cut] + noise):
        with suppress(ValueError):
            assert len(server_end_point(data)) in (28, 32, 48, 64)
