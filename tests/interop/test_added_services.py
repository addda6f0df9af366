"""Services of a third party in a real server: what docs/adding.md walks through."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.live_server import HOMEPORT, PATIENCE_S, LiveServer, running

ROOT = Path(__file__).parents[2]
SERVICES = {
    "services.upper.class": "upper_echo:UpperEcho",
    "services.upper.path": str(ROOT / "examples"),
    "services.upper.listen": '["127.0.0.1", "::1", "unix:run/upper.sock"]',
    "services.shout.class": "upper_datagrams:UpperDatagrams",
    "services.shout.path": str(ROOT / "examples"),
    "services.shout.transport": "udp",
    "services.shout.listen": '["127.0.0.1", "::1"]',
}

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with running(tmp_path_factory.mktemp("instance"), **SERVICES) as server:
        yield server


def port_of(server: LiveServer, service: str) -> int:
    found: int = server.json("status")[0]["services"][service]["port"]
    return found


def ask_framed(connection: socket.socket) -> bytes:
    connection.settimeout(PATIENCE_S)
    text = "grüße".encode()
    connection.sendall((struct.pack(">I", len(text)) + text) * 2)
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while piece := connection.recv(4096):
        answer += piece
    connection.close()
    return answer


TWICE = (struct.pack(">I", 7) + "GRÜSSE".encode()) * 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_stream_example(served: LiveServer, host: str) -> None:
    assert ask_framed(socket.create_connection((host, port_of(served, "upper")), PATIENCE_S)) == TWICE


def test_the_stream_example_on_a_unix_socket(served: LiveServer) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(served.directory / "run" / "upper.sock"))
    assert ask_framed(connection) == TWICE


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_datagram_example(served: LiveServer, host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        client.sendto(b"hello", (host, port_of(served, "shout")))
        assert client.recv(2048) == b"HELLO"


def test_status_tells_of_them(served: LiveServer) -> None:
    services = served.json("status")[0]["services"]
    assert services["upper"]["transport"] == "tcp"
    assert services["shout"]["transport"] == "udp"
    assert any(place.startswith("unix:") for place in services["upper"]["listen"])


def test_a_class_that_is_no_service_stops_the_start_and_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text("class Half:\n    async def start(self): ...\n")
    done = subprocess.run(
        [str(HOMEPORT), "serve", "--dir", str(tmp_path / "instance")]
        + [f"--set={key}" for key in ("ftp.port=0", "services.half.class=half:Half", f"services.half.path={tmp_path}")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    said = re.sub(r"\s+", " ", done.stderr)
    assert (
        "services.half: half:Half is no service for tcp: its constructor must take one argument, the context; " in said
    )
    assert "it must have `async def connected(self, reader, writer)`; see docs/adding.md" in said
    assert "Traceback" not in said
