"""The rows F1 to F9 of the threat list: attacks on the control connection. Each test is named after its row."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from dataclasses import replace

import pytest
from tests.servers.ftp.conftest import Serve
from tests.servers.running import NAME, PASSWORD, SETTINGS, House, RunningServer, Wire, trusting

from homeport.core.errors import WouldBlock
from homeport.core.home import Home
from homeport.core.login_guard import GuardSettings
from homeport.core.paths import VirtualPath
from homeport.core.sessions import SessionLimits
from homeport.core.transfer import Download


def test_f1_an_endless_line_is_refused_and_the_connection_closed(server: RunningServer) -> None:
    with server.greeted() as wire:
        try:
            wire.socket.sendall(b"A" * (1 << 20))
        except OSError:
            return  # cut before it was all sent
        assert wire.reply().startswith("500")
        assert wire.reply() == ""


def test_f1_ten_thousand_pipelined_lines_are_answered_in_order(any_server: RunningServer) -> None:
    with any_server.visitor() as wire:
        wire.send(*["NOOP", "PWD"] * 5000)
        for _ in range(5000):
            assert wire.reply().startswith("200")
            assert wire.reply().startswith("257")


def test_f1_nul_bare_cr_bare_lf_and_telnet_are_survived(server: RunningServer) -> None:
    with server.greeted() as wire:
        for line in (b"NO\0OP", b"NO\rOP", b"\xff\xfb\x01NOOP", b"\xff\xf4\xff\xf2NOOP"):
            wire.send(line)
            assert wire.reply()[:3] in ("200", "500")
        wire.socket.sendall(b"NOOP\nNOOP\n")
        assert wire.reply().startswith("200")
        assert wire.reply().startswith("200")


def test_f2_bytes_in_the_clear_after_auth_end_the_connection(any_server: RunningServer) -> None:
    with any_server.greeted() as wire:
        wire.send("AUTH TLS", "USER mallory")
        assert wire.reply() == ""


def test_f2_bytes_in_the_clear_in_place_of_the_handshake_end_the_connection(any_server: RunningServer) -> None:
    with any_server.greeted() as wire:
        assert wire.ask("AUTH TLS").startswith("234")
        wire.send("USER mallory", "NOOP")
        assert not wire.reply().startswith(("2", "3"))


def test_f2_what_was_said_before_tls_is_forgotten(any_server: RunningServer) -> None:
    with any_server.visitor() as wire:
        wire.start_tls()
        assert wire.ask("PWD").startswith("530")


@pytest.mark.parametrize(
    "hello", [b"GET / HTTP/1.1\r\nUSER alice\r\n", b"EHLO me\r\n", b"\x16\x03\x01\x02\x00\x01\x00"]
)
def test_f3_other_protocols_are_closed_at_once(server: RunningServer, hello: bytes) -> None:
    with server.greeted() as wire:
        wire.socket.sendall(hello)
        assert not wire.reply().startswith("3")
        assert wire.reply() == ""


def test_f3_each_of_them_leaves_one_line_in_the_audit_log(server: RunningServer, house: House) -> None:
    for hello in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01", b"AUTH TLS\r\nUSER x\r\n"):
        with server.greeted() as wire:
            wire.socket.sendall(hello)
            assert wire.reply() == ""
    with server.greeted() as wire:
        assert wire.ask("QUIT").startswith("221")
    house.services.audit.flush()
    lines = [json.loads(line) for line in (house.root / "audit.jsonl").read_text().splitlines()]
    assert [(line["event"], line["deed"], line["reason"]) for line in lines] == [
        ("refused", "connection", "Not FTP but HTTP: the connection is closed at once."),
        ("refused", "connection", "a TLS handshake on a connection that speaks plain FTP"),
        ("refused", "connection", "bytes in the clear after AUTH: injection"),
    ]


def test_f3_plain_text_on_the_implicit_port_is_closed(any_server: RunningServer) -> None:
    with any_server.wire(implicit=True) as wire:
        wire.send("USER alice")
        wire.socket.settimeout(5)
        while wire.socket.recv(1000):
            pass


def test_f4_who_does_not_log_in_is_closed(serve: Serve) -> None:
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, login_s=0.05)))
    with server.wire() as wire:
        assert wire.reply().startswith("220")
        assert wire.reply() == "421 The login took too long."
        assert wire.reply() == ""


def test_f4_a_handshake_never_finished_is_cut(serve: Serve) -> None:
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, handshake_s=0.05)))
    for wire in (server.wire(implicit=True), server.greeted()):
        with wire:
            if wire.socket.getpeername()[1] == server.port:
                assert wire.ask("AUTH TLS").startswith("234")
            assert wire.reply() == ""


def test_f4_an_idle_session_is_closed_and_single_bytes_do_not_keep_it(serve: Serve) -> None:
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, idle_s=0.15)))
    with server.visitor() as wire:
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            assert wire.ask("NOOP").startswith("200")
        started = time.monotonic()
        wire.socket.settimeout(0.02)
        answer = b""
        while not answer:
            wire.socket.send(b"N")
            try:
                answer = wire.socket.recv(1000)
            except TimeoutError:
                assert time.monotonic() - started < 5
        assert answer.startswith(b"421 Idle for 0 s.")


def test_f4_a_reader_that_never_reads_is_cut(serve: Serve, house: House) -> None:
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, send_s=0.1)))
    with server.visitor() as wire:
        wire.socket.settimeout(0.2)
        with contextlib.suppress(OSError):  # a time-out while nobody reads
            for _ in range(10_000):
                wire.send(*["HELP"] * 100)
        wire.socket.settimeout(10)
        deadline = time.monotonic() + 10
        while len(server.sessions):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_f5_too_many_connections_are_told_and_others_served(serve: Serve) -> None:
    server = serve(limits=SessionLimits(total=3))
    wires = [server.visitor() for _ in range(3)]
    with server.wire() as refused:
        assert refused.reply() == "421 Too many sessions for the server (limit 3); close one and try again."
        assert refused.reply() == ""
    with server.wire(implicit=True) as refused:
        assert refused.reply() == ""
    for wire in wires:
        assert wire.ask("NOOP").startswith("200")
        wire.socket.close()


def test_f6_wrong_passwords_and_unknown_names_get_the_same_reply_and_few_attempts(server: RunningServer) -> None:
    for name in (NAME, "nobody"):
        with server.greeted() as wire:
            for _ in range(3):
                assert wire.ask(f"USER {name}") == "331 Password, please."
                assert wire.ask("PASS wrong") == "530 Login incorrect."
            assert wire.ask(f"USER {name}").startswith("331")
            assert wire.ask("PASS wrong") == "421 Too many failed logins on one connection."
            assert wire.reply() == ""


def test_f6_guessing_is_banned_with_an_end_and_the_owner_elsewhere_gets_in(house: House, serve: Serve) -> None:
    house.guard = GuardSettings(first_delay_s=0.01, max_delay_s=0.01, failures_before_ban=4)
    server = serve()
    with server.wire(source="127.0.0.2") as wire:
        wire.reply()
        answers: list[str] = []
        while not answers or answers[-1].startswith("530"):
            assert wire.ask(f"USER {NAME}").startswith("331")
            answers.append(wire.ask("PASS wrong"))
        assert wire.reply() == ""
    assert len(answers) <= 4
    assert answers[-1].startswith("421 Too many failed logins; try again in ")
    server.visitor().socket.close()


def test_f7_commands_out_of_order_get_the_reply_that_the_table_says(server: RunningServer) -> None:
    with server.greeted() as wire:
        for line in ("PWD", "PASV", "LIST", "STOR x", "SITE QUOTA"):
            assert wire.ask(line).startswith("530"), line
        assert wire.ask("PASS secret").startswith("503")
        assert wire.ask("ABOR").startswith("225")
        wire.log_in()
        assert wire.ask("RNTO b").startswith("503")
        assert wire.ask("RETR nothing").startswith("425")
        assert wire.ask("REST 5").startswith("350")
        assert wire.ask("NOOP").startswith("200")
        with wire.data() as data:
            wire.send("STOR new")
            data.send(b"12")
            data.close()
            assert wire.reply().startswith("150")
            assert wire.reply().startswith("226 Stored 2 bytes")  # REST did not last


def test_f7_quit_in_a_transfer_ends_it_first(any_server: RunningServer) -> None:
    with any_server.visitor() as wire:
        data = wire.data()
        assert wire.ask("STOR file").startswith("150")
        data.send(b"first half")
        wire.send("QUIT")
        data.send(b", second half")
        data.close()
        assert wire.reply().startswith("226 Stored 23 bytes")
        assert wire.reply().startswith("221")
        assert wire.reply() == ""


def test_f7_abor_in_a_transfer_is_426_and_226(any_server: RunningServer) -> None:
    with any_server.visitor() as wire:
        with wire.data() as data:
            assert wire.ask("STOR file").startswith("150")
            data.send(b"part")
            while "4 bytes so far" not in (answer := wire.ask("STAT")):
                assert "Receiving /file" in answer
            assert wire.ask("ABOR") == "426 The transfer was stopped. 4 bytes are kept: go on with REST 4."
            assert wire.reply().startswith("226")
        assert wire.ask("SIZE file") == "213 4"
        assert wire.ask("ABOR").startswith("225")
        with wire.data() as data:  # before any data connection is there
            address = wire.passive()
            wire.send("RETR file", "ABOR")
            assert wire.reply()[:3] in ("150", "426", "550")
            data.close()
        assert address


@pytest.mark.parametrize("line", [b"ABOR\r\n", b"\xff\xf4\xff\xf2ABOR\r\n"])
@pytest.mark.parametrize("urgent", [0, socket.MSG_OOB])
def test_f7_abor_is_heard_as_telnet_says_it_and_as_urgent_data(
    any_server: RunningServer, line: bytes, urgent: int
) -> None:
    with any_server.visitor() as wire, wire.data():
        assert wire.ask("STOR file").startswith("150")
        wire.socket.send(line, urgent)
        assert wire.reply().startswith("426")
        assert wire.reply().startswith("226")
        assert wire.ask("NOOP").startswith("200")


def test_f7_abor_is_heard_over_tls_and_while_the_data_connection_is_awaited(any_server: RunningServer) -> None:
    with any_server.greeted() as wire:
        wire.start_tls()
        wire.log_in()
        for before in ("EPSV", "EPSV"):
            assert wire.ask(before).startswith("229")
            assert wire.ask("STOR file").startswith("150")
            assert wire.ask("ABOR") == "426 The transfer was stopped."
            assert wire.reply().startswith("226")
        data = wire.private_data()
        with data:
            assert wire.ask("STOR file").startswith("150")
            assert wire.ask("ABOR") == "426 The transfer was stopped."  # in the midst of the handshake
            assert wire.reply().startswith("226")


def test_f7_abor_before_the_file_is_open_stops_the_transfer_too(
    house: House, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, entered, release = Home.begin_download, threading.Event(), threading.Event()

    def slowly(home: Home, path: VirtualPath, offset: int = 0, *, may_block: bool = True) -> Download:
        if not may_block:
            raise WouldBlock
        entered.set()
        assert release.wait(10)
        return real(home, path, offset)

    monkeypatch.setattr(Home, "begin_download", slowly)
    (house.home() / "file").write_text("x")
    with serve().visitor() as wire, wire.data():
        wire.send("RETR file")
        assert entered.wait(10)
        wire.send("ABOR")
        time.sleep(0.05)
        release.set()
        answers = [wire.reply(), wire.reply()]
        assert [answer[:3] for answer in answers] in (["426", "226"], ["150", "226"])


def test_f8_what_weakens_the_protection_is_refused(serve: Serve) -> None:
    server = serve(replace(SETTINGS, tls="required", data_tls="required"))
    with server.greeted() as wire:
        assert wire.ask(f"USER {NAME}").startswith("530")
        wire.start_tls()
        assert wire.ask("AUTH TLS").startswith("503")
        assert wire.ask("PROT C").startswith("534")
        assert wire.ask("PROT S").startswith("536")
        assert wire.ask("CCC").startswith("534")
        wire.log_in()


def test_f8_where_tls_is_optional_a_private_session_still_needs_private_data(serve: Serve) -> None:
    server = serve(replace(SETTINGS, tls="optional", data_tls="required"))
    with server.visitor() as plain, plain.data() as data:
        assert plain.ask("NLST").startswith("150")
        assert data.recv(100) == b""
        assert plain.reply().startswith("226")
    with server.greeted() as wire:
        wire.start_tls()
        wire.log_in()
        assert wire.ask("PROT C").startswith("534")
        assert wire.ask("USER alice").startswith("331")
        assert wire.ask("PROT C").startswith("534")
    with server.greeted() as wire:
        assert wire.ask("AUTH TLS").startswith("234")
        wire.socket = trusting().wrap_socket(wire.socket, server_hostname="localhost")
        wire.log_in()
        with wire.data():
            assert wire.ask("NLST") == "522 Data connections must be private here: send PBSZ 0 and PROT P first."


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_f8_tls_1_0_and_1_1_are_refused(server: RunningServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with server.greeted() as wire:
        assert wire.ask("AUTH TLS").startswith("234")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(wire.socket)


def test_f9_control_characters_in_names_never_reach_a_reply_or_a_listing_raw(
    server: RunningServer, house: House
) -> None:
    nasty = "a\x1b[31m\r\n226 Transfer complete\x07"
    (house.home() / nasty).write_text("x")
    with server.visitor() as wire:
        with wire.data() as data:
            wire.send("LIST")
            listing = b"".join(iter(lambda: data.recv(65536), b""))
        wire.reply()
        wire.reply()
        assert listing.count(b"\r\n") == 1
        assert not set(listing[:-2]) & set(range(32))
        status = wire.ask("STAT /")
        assert len(status.split("\n")) == 3
        assert "\x1b" not in status
        assert wire.ask("MKD x\x1by").isprintable()


def test_f9_a_listing_on_the_control_connection_never_looks_like_a_reply(server: RunningServer, house: House) -> None:
    (house.home() / "213 End").write_text("x")
    (house.home() / "226 Transfer complete").write_text("x")
    with server.visitor() as wire:
        lines = wire.ask("STAT /").split("\n")
        assert [line[:1] for line in lines] == ["2", " ", " ", "2"]


def test_a_client_that_vanishes_in_any_state_leaves_nothing(any_server: RunningServer) -> None:
    def visited(*lines: str) -> None:
        with any_server.visitor() as wire:
            wire.send(*lines)

    visited()
    visited("EPSV")
    visited("EPSV", "STOR x")
    visited("LIST")
    visited("HASH x", "SIZE x", "QUIT")
    with any_server.wire() as wire:
        wire.send(f"USER {NAME}", f"PASS {PASSWORD}")
    with any_server.greeted() as wire:
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.reply() == ""


def test_a_private_control_connection_ends_cleanly_from_both_sides(any_server: RunningServer) -> None:
    with any_server.greeted() as wire:
        control = wire.start_tls()
        control.unwrap()  # waits for the server's own close_notify
    with any_server.greeted() as wire:
        control = wire.start_tls()
        setattr(control, "suppress_ragged_eofs", False)  # noqa: B010 - typeshed does not know it
        assert wire.ask("QUIT").startswith("221")
        assert control.recv(10) == b""


def test_a_half_spoken_goodbye_is_heard(any_server: RunningServer) -> None:
    with any_server.visitor() as wire:
        wire.send("NOOP", "QUIT")
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.reply().startswith("200")
        assert wire.reply().startswith("221")
        assert isinstance(wire, Wire)
