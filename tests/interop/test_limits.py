"""Limits of sessions with two workers: they hold for both together, whichever of them a client happens to reach."""

from __future__ import annotations

import contextlib
import ftplib
import os
import signal
import socket
import ssl
from collections.abc import Iterator

import pytest
from tests.interop.clients import HOST, connect
from tests.interop.live_server import PATIENCE_S, Account, LiveServer, running, wait_until

pytestmark = pytest.mark.interop

PER_ACCOUNT, PER_ADDRESS, TOTAL = 5, 12, 15
ADVICE = "close one and try again."
HERE, ELSEWHERE = "127.0.0.1", "::1"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with two workers that takes few sessions."""
    limits = {"per_account": PER_ACCOUNT, "per_address": PER_ADDRESS}
    settings = {f"limits__sessions_{name}": str(limit) for name, limit in limits.items()}
    with running(tmp_path_factory.mktemp("few"), workers="2", limits__sessions=str(TOTAL), **settings) as server:
        yield server
        wait_until(lambda: server.json("status")[0]["sessions"] == 0, "all sessions had ended")


class Crowd(contextlib.ExitStack):
    """Connections that are kept open."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__()
        self._server = server
        self.inside: list[socket.socket] = []

    def come(self, address: str = HERE) -> str:
        """One more connects; what it is greeted with. It stays unless it is turned away."""
        connection = socket.create_connection((address, self._server.port), PATIENCE_S)
        greeting = connection.makefile().readline().strip()
        if greeting.startswith("220"):
            self.inside.append(self.enter_context(connection))
        else:
            connection.close()
        return greeting

    def still_there(self) -> int:
        """How many are connected."""
        return sum(not hung_up(connection) for connection in self.inside)


def hung_up(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def log_in(server: LiveServer, account: Account) -> str:
    """The reply to a login, which ends again."""
    context = ssl.create_default_context(cafile=str(server.certificate))
    with ftplib.FTP_TLS(context=context, timeout=PATIENCE_S) as ftp:
        ftp.connect(HOST, server.port)
        try:
            return ftp.login(account.name, account.password)
        except ftplib.Error as error:
            return str(error)


def test_an_address_and_the_whole_server_have_a_limit(pair: LiveServer) -> None:
    refusal = "421 Too many sessions for {} (limit {}); " + ADVICE
    with Crowd(pair) as crowd:
        assert {crowd.come()[:3] for _ in range(PER_ADDRESS)} == {"220"}
        assert {crowd.come() for _ in range(20)} == {refusal.format("your address", PER_ADDRESS)}
        assert {crowd.come(ELSEWHERE)[:3] for _ in range(TOTAL - PER_ADDRESS)} == {"220"}
        assert {crowd.come(ELSEWHERE) for _ in range(20)} == {refusal.format("the server", TOTAL)}
        assert crowd.still_there() == TOTAL
    with Crowd(pair) as crowd:
        wait_until(lambda: crowd.come().startswith("220"), "those who left had made room")


def test_an_account_has_a_limit(pair: LiveServer) -> None:
    account = pair.add_account("few")
    with contextlib.ExitStack() as stack:
        for _ in range(PER_ACCOUNT):
            stack.enter_context(connect(pair, account))
        for _ in range(6):
            assert log_in(pair, account) == f"421 Too many sessions for this account (limit {PER_ACCOUNT}); {ADVICE}"
        other = pair.add_account("other")
        assert log_in(pair, other).startswith("230")


def test_the_places_of_a_killed_worker_are_free_at_once(pair: LiveServer) -> None:
    with Crowd(pair) as crowd:
        wait_until(lambda: crowd.come().startswith("421"), "the address had its limit")
        first, second = pair.json("status")[0]["worker_pids"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: crowd.still_there() < PER_ADDRESS, "its sessions were gone")
        left = crowd.still_there()
        greetings = [crowd.come() for _ in range(2 * PER_ADDRESS)]
        assert sum(greeting.startswith("220") for greeting in greetings) == PER_ADDRESS - left
        assert crowd.still_there() == PER_ADDRESS
        assert second in pair.json("status")[0]["worker_pids"]
