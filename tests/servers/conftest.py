from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.servers.loops import Run, run_on

from homeport.servers.tls import CertificateFiles


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine, on each of the event loops in turn."""

    def runner(main: Coroutine[Any, Any, Any]) -> Any:
        return run_on(request.param, main)

    return runner


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    folder = tmp_path_factory.mktemp("tls")
    return write_certificate(authority, folder)


def write_certificate(authority: trustme.CA, folder: Path) -> CertificateFiles:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    key, chain = folder / "key.pem", folder / "cert.pem"
    issued.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return CertificateFiles(str(chain), str(key))
