from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

from tests.servers.ftp.conftest import Serve
from tests.servers.running import PATIENCE_S, SETTINGS, House, Wire

from homeport.protocols.ftp.address import parse_epsv, parse_pasv


def visitor_over(address: tuple[str, int] | str) -> Wire:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    connection = socket.socket(family)
    connection.settimeout(PATIENCE_S)
    connection.connect(address)
    wire = Wire(connection)
    assert wire.reply().startswith("220")
    wire.log_in()
    return wire


def test_pasv_names_our_own_address_on_this_machine(serve: Serve) -> None:
    server = serve(replace(SETTINGS, public_address_for=lambda client: "203.0.113.7"))
    with server.visitor() as wire:
        assert str(parse_pasv(wire.ask("PASV")).host) == "127.0.0.1"


def test_ipv6_has_epsv_and_eprt_and_no_pasv(serve: Serve, house: House) -> None:
    (house.home() / "file").write_bytes(b"six")
    server = serve()
    with visitor_over(("::1", server.port)) as wire:
        assert wire.ask("PASV").startswith("522")
        assert wire.ask("EPSV 1") == "522 Network protocol not supported, use (2)"
        with socket.create_connection(("::1", parse_epsv(wire.ask("EPSV 2")))) as data:
            assert wire.ask("RETR file").startswith("150")
            assert data.recv(100) == b"six"
            assert wire.reply().startswith("226")
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
            assert wire.ask(f"EPRT |2|::1|{listening.getsockname()[1]}|").startswith("200")
            assert wire.ask("RETR file").startswith("150")
            data, _ = listening.accept()
            with data:
                assert data.recv(100) == b"six"
            assert wire.reply().startswith("226")


def test_ipv4_has_no_family_2(serve: Serve) -> None:
    with serve().visitor() as wire:
        assert wire.ask("EPSV 2") == "522 Network protocol not supported, use (1)"
        assert wire.ask("EPSV 1").startswith("229")
        assert wire.ask("EPSV ALL").startswith("200")
        assert wire.ask("PASV").startswith("503")
        assert wire.ask("EPSV").startswith("229")


def test_a_unix_sockets_client_has_its_data_on_loopback(serve: Serve, house: House, tmp_path: Path) -> None:
    (house.home() / "file").write_bytes(b"local")
    serve(replace(SETTINGS, listen=("127.0.0.1", f"unix:{tmp_path}/ftp")))
    with visitor_over(str(tmp_path / "ftp")) as wire:
        assert wire.ask("STAT").split("\n")[1] == " Logged in as alice from unix"
        address = parse_pasv(wire.ask("PASV"))
        with socket.create_connection((str(address.host), address.port)) as data:
            assert wire.ask("RETR file").startswith("150")
            assert data.recv(100) == b"local"
            assert wire.reply().startswith("226")


def test_active_mode_can_be_switched_off(serve: Serve) -> None:
    with serve(replace(SETTINGS, allow_active=False)).visitor() as wire:
        assert wire.ask("PORT 127,0,0,1,200,1").startswith("502")
