"""The rows D1 to D7 of the threat list: attacks on data connections. Each test is named after its row."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from tests.servers.ftp.conftest import Serve
from tests.servers.running import SETTINGS, House, RunningServer, Wire

from homeport.core.errors import WouldBlock
from homeport.core.home import Home

BIG = 3_000_000


def reset(connection: socket.socket) -> None:
    """End with RST in place of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(connection, ssl.SSLSocket):
        socket.close(connection.detach())
    else:
        connection.close()


def private(server: RunningServer, version: ssl.TLSVersion | None = None) -> Wire:
    wire = server.greeted()
    wire.start_tls(version)
    wire.log_in()
    return wire


def port_of(number: int, host: str = "127,0,0,1") -> str:
    return f"PORT {host},{number >> 8},{number & 255}"


@pytest.mark.parametrize(
    "line",
    [
        "PORT 192,0,2,1,80,1",
        "PORT 127,0,0,2,80,1",
        "PORT 127,0,0,1,0,80",
        "EPRT |1|192.0.2.1|50000|",
        "EPRT |2|::1|50000|",
        "EPRT |1|127.0.0.1|1023|",
    ],
)
def test_d1_bounces_are_refused(server: RunningServer, house: House, line: str) -> None:
    with server.visitor() as wire:
        assert wire.ask(line).startswith("504 Refused: data connections ")
        assert wire.ask("LIST").startswith("425")
    house.services.audit.flush()
    logged = (house.root / "audit.jsonl").read_text()
    assert f'"deed": "{line[:4]} ' in logged


def test_d1_the_servers_own_ports_are_refused(serve: Serve) -> None:
    server = serve(replace(SETTINGS, refused_ports=frozenset({50001})))
    with server.visitor() as wire:
        for port in (server.port, server.implicit_port, 50001):
            assert wire.ask(port_of(port)) == "504 Refused: data connections do not go to this server's own services."


@pytest.mark.parametrize("form", ["PORT", "EPRT"])
def test_active_transfers_work_towards_the_client_itself(any_server: RunningServer, house: House, form: str) -> None:
    (house.home() / "file").write_bytes(b"content")
    with any_server.visitor() as wire, socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert wire.ask(port_of(port) if form == "PORT" else f"EPRT |1|127.0.0.1|{port}|").startswith("200")
        assert wire.ask("RETR file").startswith("150")
        data, _ = listening.accept()
        with data:
            assert data.recv(100) == b"content"
            assert wire.reply().startswith("226")


def test_a_closed_port_is_425_at_once(server: RunningServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with server.visitor() as wire:
        assert wire.ask(port_of(port)).startswith("200")
        assert wire.ask("LIST").startswith("150")
        assert wire.reply() == f"425 Cannot connect to your port {port}: Connection refused."
        assert wire.ask("NOOP").startswith("200")


def test_d2_a_stranger_at_the_passive_port_gets_nothing_and_the_client_gets_through(
    any_server: RunningServer, house: House
) -> None:
    (house.home() / "file").write_bytes(b"secret")
    with any_server.visitor() as wire:
        address = wire.passive()
        with socket.create_connection(address, source_address=("127.0.0.2", 0), timeout=5) as thief:
            assert wire.ask("RETR file").startswith("150")
            assert thief.recv(100) == b""
            with socket.create_connection(address) as data:
                assert data.recv(100) == b"secret"
                assert wire.reply().startswith("226")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_d3_without_resumption_a_private_transfer_is_refused_when_it_is_required(
    serve: Serve, version: ssl.TLSVersion
) -> None:
    server = serve(replace(SETTINGS, data_tls_resumption="require"))
    with private(server, version) as wire, private(server, version) as other:
        for resume in (True, False):
            with wire.private_data(resume=resume) as data:
                assert wire.ask("NLST").startswith("150")
                data.do_handshake()
                if resume:
                    assert data.recv(100) == b""
                    assert wire.reply().startswith("226")
                else:
                    assert wire.reply().startswith("522 The data connection must resume")
        # Another session's ticket proves nothing about this one.
        assert isinstance(other.socket, ssl.SSLSocket)
        raw = wire.data()
        with other.socket.context.wrap_socket(
            raw, server_hostname="localhost", session=other.socket.session, do_handshake_on_connect=False
        ) as data:
            assert wire.ask("NLST").startswith("150")
            data.do_handshake()
            assert wire.reply().startswith("522")
        assert wire.ask("NOOP").startswith("200")


def test_d4_data_that_never_connects_ends_by_deadline(serve: Serve) -> None:
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, connect_s=0.1)))
    with server.visitor() as wire:
        address = wire.passive()
        assert wire.ask("LIST").startswith("150")
        assert wire.ask("NOOP").startswith("200")
        assert wire.reply().startswith("425 The data connection did not come in time")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        assert wire.ask("NOOP").startswith("200")


@pytest.mark.parametrize("verb", ["STOR", "RETR"])
def test_d4_data_that_stalls_ends_by_deadline(serve: Serve, house: House, verb: str) -> None:
    (house.home() / "file").write_bytes(bytes(20_000_000))
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, data_s=0.1)))
    with server.visitor() as wire, wire.data() as data:
        assert wire.ask(f"{verb} file").startswith("150")
        if verb == "STOR":
            data.send(b"part")
        assert wire.reply().startswith("426 Not a byte came or went for 0 s.")
        assert wire.ask("NOOP").startswith("200")


def test_d4_one_byte_now_and_then_is_too_slow(serve: Serve) -> None:
    server = serve(replace(SETTINGS, min_rate_bytes_per_s=1_000_000, times=replace(SETTINGS.times, data_s=0.2)))
    with server.visitor() as wire, wire.data() as data:
        assert wire.ask("STOR file").startswith("150")
        wire.socket.settimeout(0.02)
        answer = b""
        for _ in range(500):
            try:
                data.send(b"x")
                answer = wire.socket.recv(1000)
                break
            except TimeoutError:
                continue
        assert answer.startswith(b"426 Fewer than 200000 bytes in 0 s are too slow.")
        assert b" bytes are kept: go on with REST " in answer


def test_d4_a_transfer_that_is_long_prepared_keeps_its_listener(
    serve: Serve, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload that goes on from a large file reads all of it first, and the client has connected long ago."""
    (house.home() / "large").write_bytes(b"before ")
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, connect_s=0.2)))
    waited = threading.Event()
    begin = Home.begin_upload

    def slowly(home: Home, *arguments: Any, **named: Any) -> Any:
        waited.wait(1)  # five times as long as an unused listener lives
        return begin(home, *arguments, **named)

    monkeypatch.setattr(Home, "begin_upload", slowly)
    with server.visitor() as wire, wire.data() as data:
        wire.send("APPE large")
        data.sendall(b"and after")
        data.close()
        assert wire.reply().startswith("150")
        assert wire.reply().startswith("226")
    assert (house.home() / "large").read_bytes() == b"before and after"


def test_d4_a_client_that_leaves_while_its_transfer_is_prepared_is_no_mistake(
    serve: Serve, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entered, release = threading.Event(), threading.Event()
    begin = Home.begin_upload

    def slowly(home: Home, *arguments: Any, **named: Any) -> Any:
        if asyncio._get_running_loop() is not None:
            raise WouldBlock  # the loop would not hear that the client leaves
        entered.set()
        assert release.wait(10)
        return begin(home, *arguments, **named)

    server = serve()
    with monkeypatch.context() as patch:
        patch.setattr(Home, "begin_upload", slowly)
        with server.visitor() as wire, wire.data():
            wire.send("STOR file")
            assert entered.wait(10)
        time.sleep(0.05)  # the server hears of it
        release.set()
    with server.visitor() as wire:
        for _ in range(1000):
            with wire.data() as data:
                answer = wire.ask("STOR file")
            if answer.startswith("150"):
                break
            time.sleep(0.005)  # while the first one is ended
        assert data.fileno() < 0
        assert wire.reply().startswith("226")
    assert not caplog.records


def test_d5_one_listener_a_session_and_the_range_is_not_exhausted(serve: Serve) -> None:
    ports = tuple(free_ports(2))
    server = serve(replace(SETTINGS, passive_ports=ports))
    with server.visitor() as greedy, server.visitor() as modest, server.visitor() as late:
        for _ in range(50):
            assert greedy.passive()[1] in ports
        assert modest.passive()[1] in ports
        assert late.ask("EPSV").startswith("425 No passive port is free")
        modest.ask("QUIT")
        for _ in range(1000):
            if late.ask("PASV").startswith("227"):
                break
            time.sleep(0.005)
        else:
            raise AssertionError("the port never came back")


@pytest.mark.parametrize("verb", ["NOOP", "LIST"])
def test_d5_who_has_most_announcements_gives_way_whatever_he_began(serve: Serve, house: House, verb: str) -> None:
    """One account's ten sessions, each with a port that nobody comes to: another account gets through at once."""
    house.accounts.create("bob", "word")
    (house.home("bob") / "file").write_bytes(b"content")
    ports = tuple(free_ports(10))
    server = serve(replace(SETTINGS, passive_ports=ports))
    with ExitStack() as greedy, server.greeted() as modest:
        modest.log_in("bob", "word")
        sessions = [greedy.enter_context(server.visitor()) for _ in ports]
        for wire in sessions:
            assert wire.passive()[1] in ports
            assert wire.ask(verb)[:3] in ("200", "150")
        for _ in range(3):
            with modest.data() as data:
                assert modest.ask("RETR file").startswith("150")
                assert data.recv(100) == b"content"
            assert modest.reply().startswith("226")
        oldest = sessions[0]
        refusal = "425 Ports are short and another client needed yours; send PASV or EPSV again."
        assert (oldest.reply() if verb == "LIST" else oldest.ask("LIST")) == refusal
        assert oldest.ask("NOOP").startswith("200")


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        found = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in found]


@pytest.mark.parametrize("how", ["reset", "cut"])
def test_d6_a_private_upload_that_is_cut_is_426_and_kept(any_server: RunningServer, house: House, how: str) -> None:
    (house.home() / "file").write_bytes(b"old")
    with private(any_server) as wire:
        data = wire.private_data()
        assert wire.ask("STOR file").startswith("150")
        data.do_handshake()
        assert data.session_reused
        data.sendall(bytes(BIG))
        while f"{BIG} bytes so far" not in wire.ask("STAT"):
            pass
        if how == "reset":
            reset(data)
        else:
            socket.close(data.detach())
        assert wire.reply().startswith("426 ")
        assert (house.home() / "file").read_bytes() == b"old"
        assert wire.ask("DELE file").startswith("250")
        assert wire.ask("SIZE file") == f"213 {BIG}"


def test_d6_a_plain_upload_that_is_reset_is_426_and_kept(any_server: RunningServer, house: House) -> None:
    with any_server.visitor() as wire:
        data = wire.data()
        assert wire.ask("STOR file").startswith("150")
        data.sendall(bytes(BIG))
        while f"{BIG} bytes so far" not in wire.ask("STAT"):
            pass
        reset(data)
        expected = f"426 The data connection was lost (ECONNRESET). {BIG} bytes are kept: go on with REST {BIG}."
        assert wire.reply() == expected
        assert not (house.home() / "file").exists()


def test_d6_without_strictness_a_missing_close_notify_is_an_end(serve: Serve, house: House) -> None:
    server = serve(replace(SETTINGS, require_close_notify=False))
    with private(server) as wire:
        data = wire.private_data()
        assert wire.ask("STOR file").startswith("150")
        data.do_handshake()
        data.sendall(b"content")
        socket.close(data.detach())
        assert wire.reply().startswith("226 Stored 7 bytes")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_d6_a_client_that_only_writes_and_closes_stores_all_of_it(
    any_server: RunningServer, house: House, version: ssl.TLSVersion
) -> None:
    """Unread session tickets would turn its close into a reset that eats the tail."""
    content = os.urandom(BIG)
    with private(any_server, version) as wire:
        for name in ("one", "two"):
            data = wire.private_data()
            assert wire.ask(f"STOR {name}").startswith("150")
            data.do_handshake()
            data.sendall(content)
            _say_goodbye(data)
            data.close()
            assert wire.reply().startswith(f"226 Stored {BIG} bytes")
            assert (house.home() / name).read_bytes() == content


def _say_goodbye(data: ssl.SSLSocket) -> None:
    """Send close_notify and read nothing."""
    data.setblocking(False)
    try:
        data.unwrap()
    except ssl.SSLWantReadError:
        return


def test_d6_a_private_download_ends_with_close_notify(any_server: RunningServer, house: House) -> None:
    (house.home() / "file").write_bytes(os.urandom(BIG))
    with private(any_server) as wire, wire.private_data() as data:
        setattr(data, "suppress_ragged_eofs", False)  # noqa: B010 - typeshed does not know it
        assert wire.ask("RETR file").startswith("150")
        data.do_handshake()
        received = b"".join(iter(lambda: data.recv(65536), b""))
        assert received == (house.home() / "file").read_bytes()
        assert wire.reply().startswith("226")


def test_plain_text_where_tls_is_due_is_refused_and_the_session_lives(any_server: RunningServer, house: House) -> None:
    with private(any_server) as wire, wire.data() as data:
        assert wire.ask("STOR file").startswith("150")
        data.sendall(b"this is not a handshake" * 10)
        assert wire.reply().startswith("425 The TLS handshake of the data connection failed")
        assert wire.ask("NOOP").startswith("200")
        assert not (house.home() / "file").exists()


def test_a_data_handshake_that_never_ends_is_given_up(serve: Serve) -> None:
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, handshake_s=1.0)))
    with private(server) as wire, wire.data():
        assert wire.ask("NLST").startswith("150")
        assert wire.reply() == "425 The TLS handshake of the data connection did not end in time."


def test_d7_a_deflated_bomb_is_bounded_by_the_quota(server: RunningServer, house: House) -> None:
    house.accounts.update("alice", quota_bytes=1_000_000)
    house.services.ledger.limits_changed(house.accounts.get("alice").id)
    bomb = zlib.compress(bytes(100_000_000))
    with server.visitor() as wire, wire.data() as data:
        assert wire.ask("MODE Z").startswith("200")
        assert wire.ask("STOR bomb").startswith("150")
        try:
            data.sendall(bomb)
            data.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut before all was sent
        assert wire.reply().startswith("552 Quota exceeded")
        assert wire.ask("NOOP").startswith("200")


@pytest.mark.parametrize("is_private", [False, True])
def test_a_refused_upload_hears_why_before_its_connection_breaks(
    any_server: RunningServer, house: House, is_private: bool
) -> None:
    house.accounts.update("alice", quota_bytes=1000)
    house.services.ledger.limits_changed(house.accounts.get("alice").id)
    with (
        private(any_server) if is_private else any_server.visitor() as wire,
        wire.private_data() if is_private else wire.data() as data,
    ):
        assert wire.ask("STOR file").startswith("150")
        if isinstance(data, ssl.SSLSocket):
            data.do_handshake()
        data.settimeout(0.2)
        with pytest.raises(TimeoutError):  # nothing is read any more, and nothing is reset yet
            data.sendall(bytes(64_000_000))
        assert wire.reply().startswith("552 Quota exceeded")
        assert wire.ask("NOOP").startswith("200")


@pytest.mark.parametrize("data", [b"no zlib at all", zlib.compress(b"x" * 1000)[:-5], zlib.compress(b"x") + b"more"])
def test_d7_a_damaged_deflated_upload_is_refused(server: RunningServer, house: House, data: bytes) -> None:
    with server.visitor() as wire, wire.data() as connection:
        assert wire.ask("MODE Z").startswith("200")
        assert wire.ask("STOR file").startswith("150")
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert wire.reply().startswith("426 The data is")
        assert not (house.home() / "file").exists()


def test_d7_text_with_lone_carriage_returns_survives(server: RunningServer, house: House) -> None:
    with server.visitor() as wire:
        wire.ask("TYPE A")
        with wire.data() as data:
            assert wire.ask("STOR text").startswith("150")
            data.sendall(b"a\r\nb\rc\n\r\r\n\r")
        assert wire.reply().startswith("226")
        assert (house.home() / "text").read_bytes() == b"a\nb\rc\n\r\n\r"


@pytest.mark.parametrize("offset", ["-1", "1e3", "0x10", "", "9223372036854775808"])
def test_d7_an_offset_that_is_no_number_is_refused(server: RunningServer, offset: str) -> None:
    with server.visitor() as wire:
        assert wire.ask(f"REST {offset}").startswith("501")


@pytest.mark.parametrize("verb", ["RETR", "STOR"])
def test_d7_an_offset_past_the_end_is_refused(server: RunningServer, house: House, verb: str) -> None:
    (house.home() / "file").write_bytes(b"12345")
    with server.visitor() as wire, wire.data():
        assert wire.ask("REST 9223372036854775807").startswith("350")
        assert wire.ask(f"{verb} file").startswith("554")
        assert (house.home() / "file").read_bytes() == b"12345"


def test_a_lost_control_connection_stops_the_upload_and_keeps_it(any_server: RunningServer, house: House) -> None:
    wire = any_server.visitor()
    with wire.data() as data:
        assert wire.ask("STOR file").startswith("150")
        data.sendall(b"x" * 1000)
        while "1000 bytes so far" not in wire.ask("STAT"):
            pass
        reset(wire.socket)
        data.settimeout(5)
        with pytest.raises(OSError, match=r"reset|Broken"):  # noqa: PT012 - whichever call is the first to see it
            while data.recv(100):
                pass
            data.send(b"x")
            time.sleep(0.05)
            data.send(b"x")
    with any_server.visitor() as again:
        for _ in range(1000):
            if (answer := again.ask("SIZE file")) == "213 1000":
                break
            time.sleep(0.005)
        assert answer == "213 1000"
        assert not (house.home() / "file").exists()
