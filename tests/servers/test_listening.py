from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.servers.loops import Run, until

from homeport.servers.lifecycle import Address
from homeport.servers.listening import Doors, Wish, open_all


def close_all(opened: list[tuple[Address, socket.socket]]) -> None:
    for _, listening in opened:
        listening.close()


def test_all_hosts_share_one_free_port(tmp_path: Path) -> None:
    opened = open_all(Wish("ftp", ("127.0.0.1", "::1", f"unix:{tmp_path}/ftp"), 0))
    ports = {address.port for address, _ in opened if address.path is None}
    assert len(ports) == 1
    assert [str(address) for address, _ in opened][2] == f"unix:{tmp_path}/ftp"
    assert all(not listening.getblocking() for _, listening in opened)
    close_all(opened)


def test_a_taken_port_is_an_error_and_leaves_nothing_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="Address already in use"):
        open_all(Wish("ftp", (f"unix:{tmp_path}/ftp", "127.0.0.1"), taken.getsockname()[1]))


def test_two_workers_share_a_port() -> None:
    first = open_all(Wish("ftp", ("127.0.0.1",), 0, reuse_port=True))
    second = open_all(Wish("ftp", ("127.0.0.1",), first[0][0].port, reuse_port=True))
    close_all(first + second)


def test_a_socket_left_behind_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "ftp")
    left = socket.socket(socket.AF_UNIX)
    left.bind(path)
    left.close()
    opened = open_all(Wish("ftp", (f"unix:{path}",), 0))
    with pytest.raises(OSError, match="Address already in use"):  # somebody listens there
        open_all(Wish("ftp", (f"unix:{path}",), 0))
    close_all(opened)
    Path(tmp_path / "file").write_text("precious")
    with pytest.raises(OSError, match="Address already in use"):
        open_all(Wish("ftp", (f"unix:{tmp_path}/file",), 0))
    assert Path(tmp_path / "file").read_text() == "precious"


def no_ipv6(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    real = socket.socket

    class Without(real):  # type: ignore[misc, valid-type]
        def __init__(self, family: int = -1, *arguments: Any) -> None:
            if family == socket.AF_INET6 and where == "socket":
                raise OSError(errno.EAFNOSUPPORT, "no such family")
            super().__init__(family, *arguments)

        def bind(self, address: Any) -> None:
            if ":" in address[0]:
                raise OSError(errno.EADDRNOTAVAIL, "no such address")
            super().bind(address)

    monkeypatch.setattr(socket, "socket", Without)


@pytest.mark.parametrize("where", ["socket", "bind"])
def test_a_machine_without_ipv6_serves_ipv4(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    no_ipv6(monkeypatch, where)
    opened = open_all(Wish("ftp", ("127.0.0.1", "::"), 0))
    assert [address.host for address, _ in opened] == ["127.0.0.1"]
    close_all(opened)
    with pytest.raises(OSError, match="no such"):  # somebody named this very address
        open_all(Wish("ftp", ("::1",), 0))
    with pytest.raises(OSError, match="none of :: can be listened on"):
        open_all(Wish("ftp", ("::",), 0))


def test_a_port_taken_in_the_other_family_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = socket.socket.bind

    class Unlucky(socket.socket):
        def bind(self, address: Any) -> None:
            calls.append(address)
            if len(calls) == 2:
                raise OSError(errno.EADDRINUSE, "taken")
            real(self, address)

    monkeypatch.setattr(socket, "socket", Unlucky)
    opened = open_all(Wish("ftp", ("127.0.0.1", "::1"), 0))
    assert len(opened) == 2
    close_all(opened)


def test_a_socket_that_cannot_listen_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Deaf(socket.socket):
        def listen(self, backlog: int = 0) -> None:
            made.append(self)
            raise OSError(errno.EADDRINUSE, f"taken meanwhile, for {backlog}")

    monkeypatch.setattr(socket, "socket", Deaf)
    with pytest.raises(OSError, match="taken meanwhile, for 7"):
        open_all(Wish("ftp", ("127.0.0.1",), 0, backlog=7))
    assert len(made) == 20
    assert [listening.fileno() for listening in made] == [-1] * 20


def test_clients_are_let_in_until_the_doors_close(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        came: list[tuple[socket.socket, Address]] = []
        path = tmp_path / "ftp"
        doors = Doors(
            open_all(Wish("ftp", ("127.0.0.1", f"unix:{path}"), 0)), lambda found, at: came.append((found, at))
        )
        tcp, unix = doors.addresses
        doors.open()
        with socket.create_connection(("127.0.0.1", tcp.port)), socket.socket(socket.AF_UNIX) as local:
            local.connect(str(path))
            await until(lambda: len(came) == 2)
        assert {address for _, address in came} == {tcp, unix}
        for connection, address in came:
            assert not connection.getblocking()
            if address is tcp:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            connection.close()
        doors.close()
        doors.close()
        assert not path.exists()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", tcp.port))

    run(main())


class Scarce:
    """A listening socket that runs out of descriptors, loses one client, then gives one."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.troubles = [OSError(errno.EMFILE, "none left"), OSError(errno.ECONNABORTED, "gone")]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.troubles:
            raise self.troubles.pop(0)
        return self.listening.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.listening, name)


def test_r2_accept_pauses_without_descriptors_and_recovers(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("homeport.servers.listening._PAUSE_S", 0.01)

    async def main() -> None:
        came: list[socket.socket] = []
        [(address, listening)] = open_all(Wish("ftp", ("127.0.0.1",), 0))
        scarce: Any = Scarce(listening)
        doors = Doors([(address, scarce)], lambda found, _: came.append(found))
        doors.open()
        with socket.create_connection(("127.0.0.1", address.port)):
            await until(lambda: came)
        came[0].close()
        doors.close()
        assert f"{address}: {os.strerror(errno.EMFILE)}; new connections wait" in caplog.text

    run(main())


def test_doors_can_close_while_accept_rests(run: Run) -> None:
    async def main() -> None:
        [(address, listening)] = open_all(Wish("ftp", ("127.0.0.1",), 0))
        scarce: Any = Scarce(listening)
        doors = Doors([(address, scarce)], lambda found, _: found.close())
        doors.open()
        with socket.create_connection(("127.0.0.1", address.port)):
            await until(lambda: len(scarce.troubles) < 2)
            doors.close()

    run(main())
