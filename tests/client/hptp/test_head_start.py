"""A connection that is begun early: who gets it, who gets its failure, and that nothing of it stays open."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.client.hptp.conftest import Enter
from tests.client.hptp.fake_hptp_server import FakeHptpServer, HptpScript

from homeport.client.errors import ConnectionFailed
from homeport.client.hptp import head_start
from homeport.client.hptp.head_start import HeadStart

HOST = "127.0.0.1"
TIMEOUT_S = 20.0


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else gets."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        yield bound.getsockname()[1]


def test_the_login_goes_on_with_what_was_begun(server: FakeHptpServer, enter: Enter, script: HptpScript) -> None:
    head_start.begin(HOST, server.port)
    remote = enter()
    assert remote.stat("/").is_directory
    assert (server.connections, len(script.proofs)) == (1, 1)
    assert head_start.take(HOST, server.port, TIMEOUT_S) is None


def test_the_first_who_asks_gets_it(server: FakeHptpServer) -> None:
    begun = HeadStart(HOST, server.port)
    secured = begun.take(HOST, server.port, TIMEOUT_S)
    assert secured is not None
    with secured:
        assert (secured.selected_alpn_protocol(), secured.gettimeout()) == ("hptp/1", TIMEOUT_S)
    assert begun.take(HOST, server.port, TIMEOUT_S) is None


def test_it_leads_to_one_place(server: FakeHptpServer, nobody: int) -> None:
    begun = HeadStart(HOST, server.port)
    assert begun.take(HOST, nobody, TIMEOUT_S) is None
    assert begun.take(HOST, server.port, TIMEOUT_S) is None  # it was closed


def test_what_lay_about_for_too_long_is_not_used(server: FakeHptpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = HeadStart(HOST, server.port)
    monkeypatch.setattr(head_start, "_FRESH_S", -1.0)
    assert begun.take(HOST, server.port, TIMEOUT_S) is None


def test_its_failure_is_told_once(nobody: int) -> None:
    begun = HeadStart(HOST, nobody)
    with pytest.raises(ConnectionFailed, match=f"cannot connect to 127.0.0.1 port {nobody}: Connection refused"):
        begun.take(HOST, nobody, TIMEOUT_S)
    assert begun.take(HOST, nobody, TIMEOUT_S) is None


def test_what_is_no_server_of_ours_is_told_as_ever(enter: Enter) -> None:
    with socket.create_server((HOST, 0)) as listening:
        listening.listen()
        port = listening.getsockname()[1]
        head_start.begin(HOST, port)
        with listening.accept()[0] as peer:
            peer.sendall(b"220 an FTP server\r\n")
            with pytest.raises(ConnectionFailed, match="what answers there speaks no TLS, is it the right port"):
                enter(port=port)
