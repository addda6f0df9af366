from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.servers.loops import Run, until

from homeport.servers.deadlines import Deadlines
from homeport.servers.ftp.data import DataRefused
from homeport.servers.ftp.passive import PassiveListener, PassivePorts
from homeport.servers.readiness import Waits

HERE = ipaddress.ip_address("127.0.0.1")
STRANGER = "127.0.0.2"


def free_ports(count: int) -> tuple[int, ...]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = tuple(found.getsockname()[1] for found in sockets)
    for found in sockets:
        found.close()
    return ports


_MADE: list[PassivePorts] = []


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    yield
    while _MADE:
        _MADE.pop().close()


def passive_ports(ports: tuple[int, ...] = (), accept_s: float = 5.0) -> PassivePorts:
    made = PassivePorts(ports, Deadlines(asyncio.get_running_loop()), accept_s)
    _MADE.append(made)
    return made


def knock(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), source_address=(source, 0))


def test_a_client_that_is_there_already_is_accepted_without_waiting(run: Run) -> None:
    async def main() -> None:
        listener = passive_ports().open(HERE, HERE)
        with knock(listener.port):
            connecting = listener.connect(Waits())
            with pytest.raises(StopIteration) as stopped:  # the first step is the last
                connecting.send(None)
            connection = stopped.value.value
            assert not connection.getblocking()
            connection.close()
        assert not listener.is_open

    run(main())


def test_a_client_that_comes_later_is_waited_for(run: Run) -> None:
    async def main() -> None:
        listener = passive_ports().open(HERE, HERE)
        connecting = asyncio.ensure_future(listener.connect(Waits()))
        await asyncio.sleep(0)
        with knock(listener.port):
            (await connecting).close()

    run(main())


def test_d2_a_stranger_is_closed_and_the_true_client_gets_through(run: Run) -> None:
    async def main() -> None:
        listener = passive_ports().open(HERE, HERE)
        connecting = asyncio.ensure_future(listener.connect(Waits()))
        with knock(listener.port, STRANGER) as thief:
            await asyncio.sleep(0.01)
            assert not connecting.done()
            thief.settimeout(5)
            assert thief.recv(1) == b""
            with knock(listener.port) as client:
                connection = await connecting
                assert connection.getpeername() == client.getsockname()
                connection.close()

    run(main())


def test_d4_a_listener_nobody_comes_to_is_freed(run: Run) -> None:
    async def main() -> None:
        [port] = free_ports(1)
        ports = passive_ports((port,), accept_s=0.01)
        unused = ports.open(HERE, HERE)
        with pytest.raises(
            DataRefused, match=r"^No passive port is free; try again in a moment, or use PORT or EPRT\.$"
        ):
            ports.open(HERE, HERE)
        await until(lambda: not unused.is_open)
        waited_for = ports.open(HERE, HERE)
        with pytest.raises(DataRefused, match=r"^The data connection did not come in time; is the passive port open"):
            await waited_for.connect(Waits())
        ports.open(HERE, HERE).close()

    run(main())


def test_a_wait_can_be_interrupted_and_a_closed_listener_refuses(run: Run) -> None:
    async def main() -> None:
        listener, waits = passive_ports().open(HERE, HERE), Waits()
        connecting = asyncio.ensure_future(listener.connect(waits))
        await asyncio.sleep(0)
        waits.interrupt()
        with pytest.raises(DataRefused):
            await connecting
        with pytest.raises(DataRefused):
            await listener.connect(Waits())

    run(main())


def test_ports_come_from_the_range_skip_those_taken_and_return(run: Run) -> None:
    async def main() -> None:
        allowed = free_ports(4)
        ports = passive_ports(allowed)
        with socket.create_server(("127.0.0.1", allowed[0])):
            listeners = [ports.open(HERE, HERE) for _ in range(3)]
            assert {listener.port for listener in listeners} == set(allowed[1:])
            with pytest.raises(DataRefused, match="No passive port is free"):
                ports.open(HERE, HERE)
            listeners[1].close()
            listeners[1].close()
            again = ports.open(HERE, HERE)
            assert again.port == listeners[1].port
            again.close()
            for listener in listeners:
                listener.close()

    run(main())


@pytest.mark.parametrize("ports", [(), (2300,)])
def test_without_descriptors_a_listener_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, ports: tuple[int, ...]
) -> None:
    def none_left(*_: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "none left")

    async def main() -> None:
        monkeypatch.setattr("homeport.servers.ftp.passive._listen", none_left)
        with pytest.raises(DataRefused, match=r"^The server cannot open a data connection now \(EMFILE\)"):
            passive_ports(ports).open(HERE, HERE)
        monkeypatch.undo()

    run(main())


def test_trouble_at_accept_is_a_refusal_and_a_vanished_client_is_none(run: Run) -> None:
    class Troubled:
        def __init__(self, real: socket.socket, troubles: list[OSError]) -> None:
            self.real, self.troubles = real, troubles

        def _accept(self) -> Any:
            if self.troubles:
                raise self.troubles.pop(0)
            return self.real._accept()  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    def trouble_at(listener: PassiveListener, *troubles: OSError) -> None:
        assert listener._berth is not None
        troubled: Any = Troubled(listener._berth.listening, list(troubles))
        listener._berth.listening = troubled

    async def main() -> None:
        listener = passive_ports().open(HERE, HERE)
        trouble_at(listener, ConnectionAbortedError())
        with knock(listener.port):
            (await listener.connect(Waits())).close()
        listener = passive_ports().open(HERE, HERE)
        trouble_at(listener, OSError(errno.EMFILE, "none left"))
        with pytest.raises(DataRefused, match="EMFILE"):
            await listener.connect(Waits())

    run(main())


def test_a_flood_of_strangers_gives_others_their_turn(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.servers.ftp.passive._STRANGERS", 1)

    async def main() -> None:
        listener = passive_ports().open(HERE, HERE)
        with knock(listener.port, STRANGER), knock(listener.port, STRANGER), knock(listener.port):
            (await listener.connect(Waits())).close()

    run(main())


def test_a_socket_serves_the_next_announcement_without_those_who_came_before_it(run: Run) -> None:
    async def main() -> None:
        ports = passive_ports()
        first = ports.open(HERE, HERE)
        with knock(first.port):
            (await first.connect(Waits())).close()
        with knock(first.port) as early:
            second = ports.open(HERE, HERE)
            assert second.port == first.port
            first.close()  # it is another's now
            assert second.is_open
            early.settimeout(5)
            assert early.recv(1) == b""
            with knock(second.port) as client:
                connection = await second.connect(Waits())
                assert connection.getpeername() == client.getsockname()
                connection.close()

    run(main())


def test_a_socket_at_rest_is_for_its_own_address_alone_but_its_port_for_all(run: Run) -> None:
    async def main() -> None:
        ports = passive_ports(free_ports(4))
        first = ports.open(HERE, HERE)
        with knock(first.port):
            (await first.connect(Waits())).close()
        elsewhere = [ports.open(ipaddress.ip_address("127.0.0.3"), HERE) for _ in range(4)]
        assert first.port in {listener.port for listener in elsewhere}
        with pytest.raises(DataRefused, match="No passive port is free"):
            ports.open(HERE, HERE)
        for listener in elsewhere:
            listener.close()

    run(main())


def test_a_socket_that_rests_for_long_or_is_besieged_is_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def served(ports: PassivePorts) -> int:
        listener = ports.open(HERE, HERE)
        with knock(listener.port):
            (await listener.connect(Waits())).close()
        return listener.port

    def closed(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED

    async def main() -> None:
        port = await served(passive_ports(accept_s=0.01))
        await until(lambda: closed(port))
        monkeypatch.setattr("homeport.servers.ftp.passive._STRANGERS", 1)
        besieged = passive_ports()
        port = await served(besieged)
        with knock(port), knock(port):
            other = besieged.open(HERE, HERE)
            other.close()
        assert closed(port)

    run(main())
