from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from homeport.config.listening import Listening
from homeport.daemon import ports
from homeport.daemon.errors import StartFailed
from homeport.daemon.ports import ReservedPorts


@pytest.fixture
def reserved() -> Iterator[ReservedPorts]:
    made = ReservedPorts()
    yield made
    made.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(host: str, port: int, *, shared: bool) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    made.listen()
    return made


def test_any_free_port_is_the_same_on_all_addresses(reserved: ReservedPorts) -> None:
    found = reserved.reserve([Listening("ftp.port", 0, ("127.0.0.1", "127.0.0.2", "unix:x"))])
    port = found["ftp.port"]
    assert port > 0
    for host in ("127.0.0.1", "127.0.0.2"):
        listening(host, port, shared=True).close()  # a worker can
        with pytest.raises(OSError, match="in use"):
            listening(host, port, shared=False)


def test_two_wishes_get_two_ports(reserved: ReservedPorts) -> None:
    found = reserved.reserve([Listening("a", 0, ("127.0.0.1",)), Listening("b", 0, ("127.0.0.1",))])
    assert len(set(found.values())) == 2


def test_a_fixed_port(reserved: ReservedPorts) -> None:
    port = free_port()
    assert reserved.reserve([Listening("ftp.port", port, ("127.0.0.1",))]) == {"ftp.port": port}


def test_without_addresses_nothing_is_bound(reserved: ReservedPorts) -> None:
    assert reserved.reserve([Listening("ftp.port", 0, ("unix:run/ftp",))]) == {"ftp.port": 0}


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_somebody_serves_is_taken_even_if_shared(reserved: ReservedPorts, shared: bool) -> None:
    with listening("127.0.0.1", 0, shared=shared) as taken:
        port = taken.getsockname()[1]
        naps: list[float] = []
        clock = iter([0.0, 0.5, 1.0, 2.5])
        with pytest.raises(StartFailed) as caught:
            reserved.reserve([Listening("ftp.port", port, ("127.0.0.1",))], now=lambda: next(clock), sleep=naps.append)
    assert len(naps) == 2
    assert caught.value.reason == (
        f"port {port} is taken, and ftp.port asks for it; stop what uses it, or --set ftp.port=0 for any free one"
    )


def test_what_a_killed_server_still_holds_is_waited_for(reserved: ReservedPorts) -> None:
    taken = listening("127.0.0.1", 0, shared=True)
    port = taken.getsockname()[1]
    found = reserved.reserve([Listening("ftp.port", port, ("127.0.0.1",))], sleep=lambda _: taken.close())
    assert found == {"ftp.port": port}


def test_an_address_that_is_not_ours(reserved: ReservedPorts) -> None:
    with pytest.raises(StartFailed, match=r"ftp.port cannot listen on 192.0.2.1 port 0: Cannot assign"):
        reserved.reserve([Listening("ftp.port", 0, ("192.0.2.1",))])


def test_a_machine_without_ipv6(reserved: ReservedPorts, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ports._socket

    def only_ipv4(wish: Listening, host: str, port: int, *, share: bool) -> socket.socket:
        if ":" in host:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return real(wish, host, port, share=share)

    monkeypatch.setattr(ports, "_socket", only_ipv4)
    assert reserved.reserve([Listening("ftp.port", 0, ("0.0.0.0", "::"))])["ftp.port"] > 0
    with pytest.raises(StartFailed, match="cannot listen on ::1"):
        reserved.reserve([Listening("b", 0, ("::1",))])


def test_a_udp_port_is_found_but_not_kept(reserved: ReservedPorts) -> None:
    found = reserved.reserve([Listening("time.port", 0, ("127.0.0.1",), "udp")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as worker:
        worker.bind(("127.0.0.1", found["time.port"]))
        with pytest.raises(StartFailed, match=r"is taken, and time\.port asks for it"):
            reserved.reserve([Listening("time.port", found["time.port"], ("127.0.0.1",), "udp")], patience_s=0)


def test_a_port_that_nobody_named_moves(reserved: ReservedPorts, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        wish = Listening("ssh.port", port, ("127.0.0.1",), may_move=True)
        found = reserved.reserve([wish], patience_s=0)
    assert found["ssh.port"] not in (0, port)
    assert caplog.messages == [
        f"port {port} is taken, so ssh.port is {found['ssh.port']} this time; "
        "name one in the settings to have it or no start"
    ]


def test_what_may_move_never_takes_what_is_named(reserved: ReservedPorts) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wishes = [Listening("ssh.port", port, ("127.0.0.1",), may_move=True), Listening("ftp.port", port, ("127.0.0.1",))]
    found = reserved.reserve(wishes, patience_s=0)
    assert found["ftp.port"] == port
    assert found["ssh.port"] != port
